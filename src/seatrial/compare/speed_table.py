"""Records side by side: rates by batch size, ratios from full precision, and what the best batch hides."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from seatrial.compare.comparability import Basis, choose_basis, describe_unlike, find_unlike, refuse_unlike
from seatrial.compare.gate_expression import GateScope, check_gates, find_exceptions, judge_bound, spread_gate
from seatrial.compare.quantities import Evidence
from seatrial.compare.speed_column import Kind, SpeedColumn, SpeedFigure, Unit
from seatrial.compare.verdict import reach_verdict
from seatrial.errors import UsageError
from seatrial.metrics.inequality import Inequality
from seatrial.results.speed import Rate, divide
from seatrial.store.measurement import Scope
from seatrial.store.records import GateResult, Verdict
from seatrial.strict import check_name

SCOPES: Mapping[Scope, str] = {
    "host": "array in to logits out, with the copies",
    "device": "the device's own work, without the copies",
    "e2e": "file to prediction",
}


@dataclass(frozen=True, slots=True)
class ShownColumn:
    """A column in the scope and unit that it is shown in."""

    column: SpeedColumn
    basis: Basis
    figures: Mapping[int | None, SpeedFigure]
    """By batch size, of one chip or of a whole card as `basis` says."""

    @property
    def best(self) -> tuple[int | None, SpeedFigure]:
        """The batch size of the most images per second, and the figure."""
        return max(self.figures.items(), key=lambda item: item[1].rate.value)


@dataclass(frozen=True, slots=True)
class RatioColumn:
    """How many times as fast one column is as another."""

    of: str
    to: str
    by_size: Mapping[int, Rate]
    """At the batch sizes that both were measured at."""
    best: Rate
    """Each at its own best batch size."""

    def at(self, size: int | None) -> Rate | None:
        """The ratio at a batch size; None where one of the two was not measured at it, or it is unknown."""
        return None if size is None else self.by_size.get(size)

    @property
    def exceptions(self) -> tuple[int, ...]:
        """Batch sizes at which the other one of the two is the faster."""
        faster = self.best.value >= 1
        sound = {size: ratio.value for size, ratio in self.by_size.items() if ratio.doubt is None}
        return tuple(size for size, value in sound.items() if value != 1 and (value > 1) != faster)


@dataclass(frozen=True, slots=True)
class JudgedGate:
    """A gate, and the batch sizes at which it would fail."""

    result: GateResult
    exceptions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SpeedTable:
    """Columns that are comparable, or were allowed to be compared."""

    columns: tuple[ShownColumn, ...]
    sizes: tuple[int | None, ...]
    ratios: tuple[RatioColumn, ...]
    gates: tuple[JudgedGate, ...]
    verdict: Verdict | None
    """Of all gates; None without any."""
    unlike: Mapping[Kind, Mapping[str, str]]
    """What differs and was allowed: the columns' facts by name."""
    notes: tuple[str, ...]
    """What readers must know of the figures; under the table in every format."""


def make_table(
    columns: Sequence[SpeedColumn],
    baselines: Sequence[str] = (),
    gates: Sequence[str] = (),
    allowed: Collection[Kind] = (),
    scope: Scope | None = None,
    per: Unit | None = None,
) -> SpeedTable:
    """Put columns side by side.

    Args:
        baselines: names of the columns that the others are divided by; the first column unless given.
        gates: expressions over the columns' names; one that names none is of all but the first baseline.
        allowed: differences that are noted instead of refused.

    Raises:
        NotComparable: they differ in something that was not allowed.
        UsageError: a baseline is no column, or a gate cannot be read.
    """
    names = [column.name for column in columns]
    _check_baselines(baselines, names)
    of_gates = _find_scope(columns, baselines)
    checked = check_gates(gates, of_gates)
    bases = choose_basis(columns, scope, per)
    unlike = find_unlike(columns, bases)
    refuse_unlike(unlike, allowed)
    shown = tuple(show_column(column, basis) for column, basis in zip(columns, bases, strict=True))
    sizes = sorted({size for s in shown for size in s.figures}, key=lambda size: (size is None, size or 0))
    judged = _judge(checked, of_gates, shown)
    return SpeedTable(
        columns=shown,
        sizes=tuple(sizes),
        ratios=tuple(_divide_columns(shown, baselines or names[:1])),
        gates=judged,
        verdict=reach_verdict(names[0], [gate.result for gate in judged]) if judged else None,
        unlike=unlike,
        notes=tuple(_write_notes(shown, unlike)),
    )


def _check_baselines(baselines: Sequence[str], names: Sequence[str]) -> None:
    for name in baselines:
        check_name(name, names, f"--baseline {name} is none of the records")
    if baselines and set(names) <= set(baselines):
        raise UsageError("--baseline names every record, which leaves none to divide by it", "leave one out")


def _find_scope(columns: Sequence[SpeedColumn], baselines: Sequence[str]) -> GateScope:
    """What gates may name: the columns, and the batch sizes where all are known."""
    names = tuple(column.name for column in columns)
    known = {size for column in columns for figures in column.figures.values() for size in figures}
    return GateScope(
        names,
        (*baselines, *names)[0] if len(names) > 1 else "",
        () if None in known else tuple(sorted(size for size in known if size is not None)),
        kinds=("speed", "resources"),
        measured_by="the records have",
    )


def _judge(gates: Sequence[Inequality], scope: GateScope, shown: Sequence[ShownColumn]) -> tuple[JudgedGate, ...]:
    evidence = {s.column.name: Evidence(s.column.name, figures=s.figures) for s in shown}
    return tuple(
        JudgedGate(judge_bound(bound, evidence, engine), find_exceptions(bound, evidence))
        for gate in gates
        for engine, bound in spread_gate(gate, scope)
    )


def show_column(column: SpeedColumn, basis: Basis) -> ShownColumn:
    """A column's figures in a scope and of a chip or a card."""
    factor = (column.chips_per_card or 1) if basis.unit == "card" else 1
    figures = column.figures[basis.scope]
    return ShownColumn(column, basis, {size: _scale(figure, factor) for size, figure in figures.items()})


def _scale(figure: SpeedFigure, factor: int) -> SpeedFigure:
    others = tuple(_scale(other, factor) for other in figure.others)
    return replace(figure, rate=figure.rate.scaled(factor), others=others)


def _divide_columns(shown: Sequence[ShownColumn], baselines: Sequence[str]) -> list[RatioColumn]:
    by_name = {s.column.name: s for s in shown}
    others = [s for s in shown if s.column.name not in baselines]
    return [divide_columns(other, by_name[name]) for other in others for name in baselines]


def divide_columns(of: ShownColumn, to: ShownColumn) -> RatioColumn:
    """One column over another, at every batch size of both and at the best of each."""
    common = [size for size in of.figures if size is not None and size in to.figures]
    by_size = {size: divide(of.figures[size].rate, to.figures[size].rate) for size in common}
    return RatioColumn(of.column.name, to.column.name, by_size, divide(of.best[1].rate, to.best[1].rate))


def _write_notes(shown: Sequence[ShownColumn], unlike: Mapping[Kind, Mapping[str, str]]) -> Iterator[str]:
    columns = [s.column for s in shown]
    scope = shown[0].basis.scope
    bounded = any(figure.rate.bounds is not None for s in shown for figure in s.figures.values())
    where = "each in its own scope" if "scope" in unlike else f"scope {scope}: {SCOPES[scope]}"
    yield f"images/s{' with 95 % intervals' if bounded else ''}, {where}"
    if "chips" not in unlike and any(c.chips_per_card != 1 for c in columns):
        chips = ", ".join(f"{c.name} {c.chips_per_card or 'not stated'}" for c in columns)
        whose = "one chip's" if shown[0].basis.unit == "chip" else "a whole card's"
        yield f"images/s are {whose}; chips on a card: {chips}"
    yield from (f"not alike, but allowed: {describe_unlike(kind, values)}" for kind, values in unlike.items())
    for kind, thing in (("precision", "the precision"), ("model", "the model")):
        silent = [c.name for c in columns if c.facts.get(kind) is None]  # type: ignore[call-overload]
        if silent and len(columns) > 1:
            yield f"not stated, so not compared: {thing} of {', '.join(silent)}"
    streams = [f"{s.column.name} {_list_streams(s)}" for s in shown if _list_streams(s)]
    if streams:
        yield f"batches in flight at once: {'; '.join(streams)}"
    yield from doubt_intervals(shown)


def doubt_intervals(shown: Sequence[ShownColumn]) -> Iterator[str]:
    """A note on intervals that come from one process."""
    alone = [s.column.name for s in shown if any(figure.processes == 1 for figure in s.figures.values())]
    if alone:
        yield f"intervals of {', '.join(alone)} cover one process only; another process may lie outside them"


def _list_streams(shown: ShownColumn) -> str:
    several = {size: figure.streams for size, figure in shown.figures.items() if (figure.streams or 1) > 1}
    return ", ".join(f"{count} at batch {size}" for size, count in several.items())
