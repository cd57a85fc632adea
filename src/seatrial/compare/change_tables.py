"""A run compared with an earlier one as rows of finished text, the same for a terminal and a page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from seatrial.compare.comparability import describe_unlike, shorten_hash
from seatrial.compare.predictions import describe_agreement
from seatrial.compare.regression import Changes, EngineChange, write_change
from seatrial.compare.speed_table import doubt_intervals
from seatrial.report.formats import Grid
from seatrial.report.numbers import write_figures, write_points
from seatrial.store.records import NO_LABELS, GateResult


@dataclass(frozen=True, slots=True)
class ChangeTables:
    """What a comparison found, in words and rows."""

    title: str
    accuracy: Grid
    """Without rows where nothing was compared, as the next two."""
    speed: Grid
    changed: Grid
    """What else is different."""
    notes: tuple[str, ...]
    """What only one run has, and what else there is to know."""
    gates: tuple[str, ...]
    """What decided the verdict, in the order of the engines."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Notes and gates; what there is to say where none of these is."""
        return (*self.notes, *self.gates) or ("nothing was judged: no gate, or nothing to compare",)


def tabulate_changes(changes: Changes) -> ChangeTables:
    """Accuracy, speed, what else is different, and what decided the verdict."""
    only = [f"only in {name}: {', '.join(engines)}" for name, engines in changes.only.items()]
    notes = [f"note: {note}" for note in _list_notes(changes)]
    return ChangeTables(
        f"{changes.after} against {changes.before}",
        _tabulate_accuracy(changes.engines),
        _tabulate_speed(changes.engines),
        _tabulate_changed(changes),
        (*only, *notes),
        tuple(write_gate(gate) for gate in changes.verdict.gates),
    )


def write_gate(gate: GateResult) -> str:
    """A gate's result on a line."""
    return f"{' '.join(filter(None, (gate.outcome, gate.engine, gate.gate)))}: {gate.reason}"


def _tabulate_accuracy(engines: Sequence[EngineChange]) -> Grid:
    rows = []
    for engine in engines:
        if engine.accuracy is None:
            continue
        before, after, found = engine.accuracy.before, engine.accuracy.after, engine.accuracy.differences
        v, drop, counts = found.versus, "–", ("–", "–")
        if v is not None:
            drop = f"{write_points(v.drop_pp)} ({write_points(v.low_pp)} to {write_points(v.high_pp)})"
            counts = (str(v.lost), str(v.gained))
        top1 = (f"{a.metrics['top1'].value:.2%}" if a.metrics else NO_LABELS for a in (before, after))
        rows.append([engine.name, f"{found.agreement.images:,}", *top1, drop, *counts])
    return Grid(["engine", "images", "top-1 before", "after", "drop, points (interval)", "lost", "gained"], rows)


def _tabulate_speed(engines: Sequence[EngineChange]) -> Grid:
    rows = []
    for engine in engines:
        if engine.speed is None:
            continue
        before, after, ratios = engine.speed.before.figures, engine.speed.after.figures, engine.speed.ratio.by_size
        for size in [size for size in after if size in before]:
            rates = [write_figures(figures[size].rate.value, 4) for figures in (before, after)]
            change = "not comparable" if engine.speed.refused or size is None else write_change(ratios[size])
            rows.append([engine.name, str(size or "not stated"), *rates, change])
    return Grid(["engine", "batch", "images/s before", "after", "change (95 % interval)"], rows)


def _list_notes(changes: Changes) -> Iterator[str]:
    for engine in changes.engines:
        if engine.accuracy is not None:
            found = engine.accuracy.differences
            yield from (f"{engine.name}: against {doubt}" for doubt in found.agreement.doubts)
            if found.versus is None:
                yield f"{engine.name}: against {describe_agreement(found.agreement)}"
        if engine.speed is None:
            continue
        for where, sizes in engine.speed.lone_sizes.items():
            were = "was" if len(sizes) == 1 else "were"
            yield f"{engine.name}: batch {', '.join(map(str, sizes))} {were} measured in {where} only"
        yield from (f"{engine.name}: {note}" for note in engine.speed.notes)
        allowed = (item for item in engine.speed.unlike.items() if item[0] not in engine.speed.refused)
        yield from (f"{engine.name}: not alike, but allowed: {describe_unlike(*item)}" for item in allowed)
        doubts = doubt_intervals((engine.speed.before, engine.speed.after))
        yield from (f"{engine.name}: {doubt}" for doubt in doubts)


def _tabulate_changed(changes: Changes) -> Grid:
    pairs: dict[str, Mapping[str, tuple[str, str]]] = {"": changes.changed}
    pairs |= {f"{engine.name}: ": engine.changed for engine in changes.engines}
    rows = [
        [f"{whose}{what}", shorten_hash(before), shorten_hash(after)]
        for whose, changed in pairs.items()
        for what, (before, after) in changed.items()
    ]
    return Grid(["what else changed", "before", "after"], rows, (0, 1, 2))
