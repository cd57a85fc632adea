"""A run compared with an earlier one: what became slower or less accurate, and what else changed."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from seatrial.compare.comparability import KINDS, choose_basis, describe_unlike, find_unlike
from seatrial.compare.predictions import Accuracy, Differences
from seatrial.compare.speed_column import Kind, SpeedColumn, put_best_first
from seatrial.compare.speed_table import RatioColumn, ShownColumn, divide_columns, show_column
from seatrial.report.numbers import join_words, write_signed
from seatrial.results.speed import Rate, divide
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
    notes: tuple[str, ...] = ()
    """At which batch sizes not all that was measured is compared."""

    @property
    def best(self) -> Rate | None:
        """The ratio of the best rates, each among the batch sizes of both; None where they have none in common."""
        rates = ([of.figures[size].rate for size in self.ratio.by_size] for of in (self.after, self.before))
        after, before = (max(each, key=lambda rate: rate.value, default=None) for each in rates)
        return None if after is None or before is None else divide(after, before)

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
    then, now, notes = _match_streams(then, now)
    refused = tuple(kind for kind in unlike if kind not in allowed)
    return SpeedChange(then, now, divide_columns(now, then), unlike, refused, notes)


def _match_streams(then: ShownColumn, now: ShownColumn) -> tuple[ShownColumn, ShownColumn, tuple[str, ...]]:
    """Both with the best of those numbers of streams that both were measured on, and notes on what that leaves out.

    More streams may be faster for that alone. A rate is in doubt where the two have no number in common; a number that
    is not stated is no difference.
    """
    before, after = dict(then.figures), dict(now.figures)
    notes: list[str] = []
    for size in [size for size in before if size in after]:
        own, new = before[size].by_streams, after[size].by_streams
        common = [streams for streams in own if streams in new]
        if None in {*own, *new} or len(common) == len(own) == len(new):
            continue
        if common:
            before[size], after[size] = (put_best_first(each[streams] for streams in common) for each in (own, new))
            notes.append(f"batch {size}: compared on {_list_streams(common)}, as both were measured on no other")
        else:
            doubt = f"it was measured on {_list_streams(own)}, and on {_list_streams(new)} now"
            after[size] = replace(after[size], rate=replace(after[size].rate, doubt=doubt))
    return replace(then, figures=before), replace(now, figures=after), tuple(notes)


def _list_streams(numbers: Iterable[int | None]) -> str:
    listed = [str(number) for number in numbers]
    return f"{join_words(listed)} stream{'' if listed == ['1'] else 's'}"


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
