"""A run against an earlier one, as text, Markdown for a pull request, or JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from seatrial.cli.output.speed import list_ratio
from seatrial.cli.output.tables import Layout, write_table

if TYPE_CHECKING:
    from seatrial.compare.regression import Changes, EngineChange


def write_changes(found: "Changes", layout: Layout) -> str:
    """The verdict with what decided it, accuracy, speed, and what else is different."""
    told = f"{found.after} against {found.before}"
    verdict = found.verdict.outcome
    blocks = [f"**{verdict}**: {_escape(told)}" if layout is Layout.MARKDOWN else told]
    accuracy, speed = _list_accuracy(found.engines), _list_speed(found.engines)
    if accuracy:
        header = ["engine", "images", "top-1 before", "after", "drop, points (interval)", "lost", "gained"]
        blocks.append(write_table(layout, header, accuracy))
    if speed:
        header = ["engine", "batch", "images/s before", "after", "change (95 % interval)"]
        blocks.append(write_table(layout, header, speed))
    changed = _list_changed(found)
    if changed:
        blocks.append(write_table(layout, ["what else changed", "before", "after"], changed, (0, 1, 2)))
    gates = [f"{gate.outcome} {gate.engine} {gate.gate}: {gate.reason}" for gate in found.verdict.gates]
    only = [f"only in {name}: {', '.join(engines)}" for name, engines in found.only.items()]
    lines = [*only, *_say_notes(found), *gates] or [
        "nothing was judged: there is no gate, or nothing to hold it against"
    ]
    if layout is Layout.MARKDOWN:
        return "\n\n".join([*blocks, "\n".join(f"- {_escape(line)}" for line in lines)])
    return "\n\n".join([*blocks, "\n".join([*lines, f"{verdict}: {told}"])])


def _escape(text: str) -> str:
    from seatrial.report.markdown import escape

    return escape(text)


def _list_accuracy(engines: Sequence["EngineChange"]) -> list[list[str]]:
    from seatrial.report.numbers import write_points

    rows = []
    for engine in engines:
        if engine.accuracy is None:
            continue
        before, after, v = engine.accuracy.before, engine.accuracy.after, engine.accuracy.differences.versus
        drop = f"{write_points(v.drop_pp)} ({write_points(v.low_pp)} to {write_points(v.high_pp)})"
        counts = (str(v.lost), str(v.gained))
        rows.append([engine.name, f"{v.images:,}", f"{before.shares[0]:.2%}", f"{after.shares[0]:.2%}", drop, *counts])
    return rows


def _list_speed(engines: Sequence["EngineChange"]) -> list[list[str]]:
    from seatrial.compare.regression import say_change
    from seatrial.report.numbers import write_figures

    rows = []
    for engine in engines:
        if engine.speed is None:
            continue
        before, after, ratios = engine.speed.before.figures, engine.speed.after.figures, engine.speed.ratio.by_size
        for size in [size for size in after if size in before]:
            rates = [write_figures(figures[size].rate.value, 4) for figures in (before, after)]
            change = "not comparable" if engine.speed.refused or size is None else say_change(ratios[size])
            rows.append([engine.name, str(size or "not told"), *rates, change])
    return rows


def _say_notes(found: "Changes") -> list[str]:
    from seatrial.compare.comparability import say_unlike
    from seatrial.compare.speed_table import doubt_intervals

    notes = []
    for engine in found.engines:
        if engine.accuracy is not None:
            notes += [f"{engine.name}: against {doubt}" for doubt in engine.accuracy.differences.versus.doubts]
        if engine.speed is None:
            continue
        allowed = {kind: told for kind, told in engine.speed.unlike.items() if kind not in engine.speed.refused}
        notes += [f"{engine.name}: not alike, but allowed: {say_unlike(kind, told)}" for kind, told in allowed.items()]
        notes += [f"{engine.name}: {doubt}" for doubt in doubt_intervals((engine.speed.before, engine.speed.after))]
    return [f"note: {note}" for note in notes]


def _list_changed(found: "Changes") -> list[list[str]]:
    pairs: dict[str, Mapping[str, tuple[str, str]]] = {"": found.changed}
    pairs |= {f"{engine.name}: ": engine.changed for engine in found.engines}
    return [
        [f"{whose}{what}", _shorten(before), _shorten(after)]
        for whose, changed in pairs.items()
        for what, (before, after) in changed.items()
    ]


def _shorten(text: str) -> str:
    """A hash by its first digits, all else as it is."""
    return text[:12] if len(text) == 64 and " " not in text else text


def list_changes(found: "Changes") -> dict[str, Any]:
    """Everything as plain values, every figure in full precision."""
    engines: dict[str, Any] = {}
    for engine in found.engines:
        told: dict[str, Any] = {"changed": dict(engine.changed)}
        if engine.accuracy is not None:
            told["accuracy"] = {
                "before": asdict(engine.accuracy.before),
                "after": asdict(engine.accuracy.after),
                "versus": engine.accuracy.differences.versus.model_dump(mode="json"),
            }
        if engine.speed is not None:
            ratio = engine.speed.ratio
            told["speed"] = {
                "ratios": {str(size): list_ratio(rate) for size, rate in ratio.by_size.items()},
                "best": list_ratio(ratio.best),
                "unlike": {kind: dict(values) for kind, values in engine.speed.unlike.items()},
            }
        engines[engine.name] = told
    return {
        "before": found.before,
        "after": found.after,
        "engines": engines,
        "only": {name: list(who) for name, who in found.only.items()},
        "changed": dict(found.changed),
        "gates": [gate.model_dump(mode="json") for gate in found.verdict.gates],
        "outcome": found.verdict.outcome,
        "exit_code": found.verdict.exit_code,
    }
