"""Which of a run's conclusions a doubt could change: a gate's outcome, or which of two engines is the faster.

The logarithm of a rate may be off by half its interval and by what each doubt about it reaches; these are independent
of one another, so they add like the sides of a right angle, as in `results.speed.divide`. Two engines could change
places where their distance is within both errors together.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from seatrial.metrics.inequality import EACH, Term, list_terms
from seatrial.report.doubts import RUN, Doubt
from seatrial.report.headline import gates_of
from seatrial.report.numbers import join_words
from seatrial.report.run_doubts import find_doubts
from seatrial.report.speed import all_speeds, best_speeds
from seatrial.results.run_folder import Run
from seatrial.results.speed import Speed
from seatrial.store.records import GateResult

MOST_RANKINGS = 2
"""That are named one by one."""
_SIDES = re.compile(r": (\S+) against (\S+)$")
"""Both sides of a speed gate, at the end of its reason in old records."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a run concludes, as words after "it could change"."""

    words: str
    batch: str | None = None
    """The batch size that it is about, as `Speed.batch` writes it, where there are several of its kind."""


@dataclass(frozen=True, slots=True)
class WeighedDoubt:
    """A doubt, and the conclusions that it could change."""

    doubt: Doubt
    changes: tuple[Conclusion, ...]
    """None where it touches no conclusion."""


@dataclass(frozen=True, slots=True)
class _Error:
    """How far a rate may be off, as logarithms of ratios."""

    below: float
    above: float


def weigh_doubts(run: Run) -> tuple[WeighedDoubt, ...]:
    """Every doubt about a run with what it could change."""
    doubts = find_doubts(run)
    stakes = _Stakes(run, doubts)
    return tuple(WeighedDoubt(doubt, tuple(stakes.list_changes(doubt))) for doubt in doubts)


class _Stakes:
    """The conclusions of a run, each against the errors of the figures that it rests on."""

    def __init__(self, run: Run, doubts: Sequence[Doubt]) -> None:
        self._run, self._doubts = run, [doubt for doubt in doubts if doubt.kind.touches == "speed"]
        self._speeds = {name: {speed.batch: speed for speed in found} for name, found in all_speeds(run).items()}
        self._best = best_speeds(run)

    def list_changes(self, doubt: Doubt) -> Iterator[Conclusion]:
        kind = doubt.kind
        if kind.touches == "verdict":
            whole = doubt.engine in (RUN, self._run.reference)
            yield Conclusion("the verdict" if whole else f"the verdict on {doubt.engine}")
        elif kind.touches == "published" and any("published" in gate.gate for gate in gates_of(self._run)):
            yield Conclusion("the gate on the published accuracy")
        elif kind.touches == "speed":
            yield from self._list_speed_gates(doubt)
            if doubt.engine in self._best and doubt.batch in (None, self._best[doubt.engine].batch):
                yield from self._list_fastest(doubt.engine)
            yield from self._list_rankings(doubt)

    def _list_rankings(self, doubt: Doubt) -> Iterator[Conclusion]:
        for other, theirs in self._speeds.items():
            pair = join_words([name for name in self._run.engines if name in (doubt.engine, other)])
            sizes = [size for size in self._speeds.get(doubt.engine, {}) if size in theirs]
            for size in sizes if other != doubt.engine else ():
                own = self._speeds[doubt.engine][size]
                if doubt.batch in (None, size) and self._overlap(own, doubt.engine, theirs[size], other):
                    yield Conclusion(f"the ranking of {pair}", size)

    def _list_fastest(self, engine: str) -> Iterator[Conclusion]:
        """Whether an engine might be the fastest, or the fastest might not be."""
        fastest = max(self._best, key=lambda name: self._best[name].images_per_s)
        others = [name for name in self._best if name != fastest] if engine == fastest else [engine]
        if any(self._overlap(self._best[fastest], fastest, self._best[name], name) for name in others):
            yield Conclusion("which engine is the fastest")

    def _overlap(self, a: Speed, name_a: str, b: Speed, name_b: str) -> bool:
        """Whether the faster of two might be the slower."""
        (fast, of_fast), (slow, of_slow) = sorted(((a, name_a), (b, name_b)), key=lambda each: -each[0].images_per_s)
        apart = math.log(fast.images_per_s / slow.images_per_s)
        return apart <= math.hypot(self._find_error(fast, of_fast).below, self._find_error(slow, of_slow).above)

    def _find_error(self, speed: Speed, engine: str) -> _Error:
        bounds = speed.rate.bounds
        below = above = math.inf
        if bounds is not None:
            below, above = math.log(speed.images_per_s / bounds[0]), math.log(bounds[1] / speed.images_per_s)
        for doubt in self._doubts:
            if doubt.engine == engine and doubt.batch in (None, speed.batch):
                slower, faster = doubt.kind.reach(doubt.text)
                below, above = math.hypot(below, slower), math.hypot(above, faster)
        return _Error(below, above)

    def _list_speed_gates(self, doubt: Doubt) -> Iterator[Conclusion]:
        for gate in gates_of(self._run):
            text = gate.expression or gate.reason.partition(": ")[0]
            terms = list_terms(text) if gate.kind == "speed" else ()
            figures = [replace(term, engine=gate.engine) if term.engine == EACH else term for term in terms]
            if any(term.engine == doubt.engine for term in figures) and self._may_turn(gate, figures):
                yield Conclusion(f"the speed gate {text}")

    def _may_turn(self, gate: GateResult, figures: Sequence[Term]) -> bool:
        """Whether the errors of its figures together might turn a gate; yes where its sides are not known."""
        sides = _find_sides(gate)
        named = {
            term: self._best.get(term.engine)
            if term.batch_size is None
            else self._speeds.get(term.engine, {}).get(str(term.batch_size))
            for term in figures
        }
        if sides is None or None in named.values():
            return True
        left, right = sides
        errors = [self._find_error(speed, term.engine) for term, speed in named.items() if speed is not None]
        reach = math.hypot(*(max(error.below, error.above) for error in errors))
        return min(left, right) <= 0 or abs(math.log(left / right)) <= reach


def _find_sides(gate: GateResult) -> tuple[float, float] | None:
    if gate.value is not None and gate.limit is not None:
        return gate.value, gate.limit
    sides = _SIDES.search(gate.reason)
    return None if sides is None else (float(sides[1]), float(sides[2]))


def list_conclusions(weighed: Iterable[WeighedDoubt]) -> list[str]:
    """Every conclusion that some doubt could change, once, those about the verdict first; many rankings are counted."""
    batches: dict[str, list[str]] = {}
    for change in (change for each in weighed for change in each.changes):
        batches.setdefault(change.words, []).extend([change.batch] if change.batch else [])
    rankings = [f"{words} at batch {', '.join(dict.fromkeys(sizes))}" for words, sizes in batches.items() if sizes]
    if len(rankings) > MOST_RANKINGS:
        rankings = [f"{len(rankings)} rankings, such as {rankings[0]}"]
    return [*(words for words, sizes in batches.items() if not sizes), *rankings]
