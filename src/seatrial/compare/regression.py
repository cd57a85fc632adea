"""A run compared with an earlier one: what became slower or less accurate, and what else changed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from seatrial.compare.comparability import KINDS, choose_basis, describe_unlike, find_unlike
from seatrial.compare.predictions import Accuracy, Differences
from seatrial.compare.speed_column import Kind, SpeedColumn
from seatrial.compare.speed_table import RatioColumn, ShownColumn, divide_columns, show_column
from seatrial.report.numbers import write_signed
from seatrial.results.speed import Rate
from seatrial.store.records import WORST_FIRST, GateResult, Outcome, Verdict

MAX_SLOWER_PCT = 5.0
"""Default of the loss of speed that passes; below it, few machines repeat themselves."""
_MAY_DIFFER: tuple[Kind, ...] = ("graph",)
"""Another export of the same network is what one compares runs for."""


@dataclass(frozen=True, slots=True)
class SpeedChange:
    """One engine's speed then and now."""

    before: ShownColumn
    after: ShownColumn
    ratio: RatioColumn
    """Rate now over rate then."""
    unlike: Mapping[Kind, Mapping[str, str]]
    """What differs beside the engine."""
    refused: tuple[Kind, ...]
    """What of it was not allowed: then no conclusion is drawn."""

    @property
    def lone_sizes(self) -> dict[str, tuple[int, ...]]:
        """Batch sizes that only one of the two was measured at, by its name; none where both have the same."""
        both = ((self.before, self.after), (self.after, self.before))
        lone = {
            of.column.name: tuple(size for size in of.figures if size is not None and size not in other.figures)
            for of, other in both
        }
        return {name: sizes for name, sizes in lone.items() if sizes}


@dataclass(frozen=True, slots=True)
class AccuracyChange:
    """One engine's accuracy then and now."""

    before: Accuracy
    after: Accuracy
    differences: Differences


@dataclass(frozen=True, slots=True)
class EngineChange:
    """One engine that both runs have."""

    name: str
    accuracy: AccuracyChange | None
    speed: SpeedChange | None
    changed: Mapping[str, tuple[str, str]]
    """What else is different: then and now, by what it is."""


@dataclass(frozen=True, slots=True)
class Changes:
    """A run against an earlier one, judged."""

    before: str
    after: str
    engines: tuple[EngineChange, ...]
    only: Mapping[str, tuple[str, ...]]
    """Engines that only one of the two has, by its name."""
    changed: Mapping[str, tuple[str, str]]
    """What else is different: then and now, by what it is."""
    verdict: Verdict


def compare_speed(before: SpeedColumn, after: SpeedColumn, allowed: Collection[Kind] = ()) -> SpeedChange:
    """Compare a measurement with an earlier one of the same engine.

    Raises:
        UsageError: one of them has no figures.
    """
    columns = (before, after)
    bases = choose_basis(columns)
    unlike = find_unlike(columns, bases, [kind for kind in KINDS if kind not in _MAY_DIFFER])
    then, now = (show_column(column, basis) for column, basis in zip(columns, bases, strict=True))
    refused = tuple(kind for kind in unlike if kind not in allowed)
    return SpeedChange(then, now, divide_columns(now, then), unlike, refused)


def judge_slower(name: str, change: SpeedChange, limit_pct: float) -> GateResult:
    """FAIL when a batch size surely lost more than `limit_pct` of its rate, PASS when surely none did.

    "Surely" is the 95 % interval of the ratio. INCONCLUSIVE between, where there are no samples to draw an interval
    from, and where something else changed that was not allowed to: that is no regression of the engine.
    """
    sizes = change.ratio.by_size
    outcome: Outcome = "INCONCLUSIVE"
    if change.refused:
        reason = "not comparable: " + "; ".join(describe_unlike(kind, change.unlike[kind]) for kind in change.refused)
    elif not sizes:
        reason = "not comparable: no batch size was measured in both"
    else:
        outcome = min((_judge_ratio(ratio, 1 - limit_pct / 100) for ratio in sizes.values()), key=WORST_FIRST.index)
        ratios = ", ".join(f"{write_change(ratio)} at batch {size}" for size, ratio in sizes.items())
        reason = f"images/s against {change.before.column.name}: {ratios}; the gate is {limit_pct:g} % slower"
    return GateResult(gate="max_slower_pct", engine=name, outcome=outcome, kind="speed", reason=reason)


def _judge_ratio(ratio: Rate, floor: float) -> Outcome:
    if ratio.doubt is not None or ratio.bounds is None:
        return "INCONCLUSIVE"
    low, high = ratio.bounds
    return "PASS" if low >= floor else "FAIL" if high < floor else "INCONCLUSIVE"


def write_change(ratio: Rate) -> str:
    """A ratio as a gain or loss: `−3.1 % (−4.0 to −2.2)`."""
    if ratio.doubt is not None:
        return f"in doubt: {ratio.doubt}"
    bounds = [write_signed(100 * (bound - 1)) for bound in ratio.bounds or ()]
    return f"{write_signed(100 * (ratio.value - 1))} % ({' to '.join(bounds) or 'no samples, so no interval'})"


def find_changes(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> dict[str, tuple[str, str]]:
    """The facts that are not the same in both, in the order of the second."""
    names = [*after, *(name for name in before if name not in after)]
    pairs = {name: (before.get(name) or "–", after.get(name) or "–") for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
