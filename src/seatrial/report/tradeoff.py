"""Accuracy against speed: every engine as a point with intervals, and those that no other certainly beats."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from seatrial.metrics.intervals import wilson_interval
from seatrial.report.speed import best_speeds
from seatrial.results.run_folder import Run


@dataclass(frozen=True, slots=True)
class Figure:
    """A value and where it lies with its confidence."""

    value: float
    low: float
    high: float

    def is_above(self, other: "Figure") -> bool:
        """Whether the intervals lie apart, this one above."""
        return self.low > other.high


@dataclass(frozen=True, slots=True)
class Rival:
    """One engine, to be held against others."""

    name: str
    accuracy: Figure
    """Top-1, a fraction; the interval is that of its difference from the reference, where there is one."""
    speed: Figure
    """Images per second at its best batch size."""

    def beats(self, other: "Rival") -> bool:
        """Whether it is certainly better in one direction, and measured no worse in the other."""
        faster, better = self.speed.is_above(other.speed), self.accuracy.is_above(other.accuracy)
        no_slower, no_worse = self.speed.value >= other.speed.value, self.accuracy.value >= other.accuracy.value
        return (faster and no_worse) or (better and no_slower)

    def ties(self, other: "Rival") -> bool:
        """Whether neither direction sets the two apart."""
        pairs = ((self.speed, other.speed), (self.accuracy, other.accuracy))
        return not any(a.is_above(b) or b.is_above(a) for a, b in pairs)


def list_rivals(run: Run) -> list[Rival]:
    """The engines with both figures, in the order of the run; only those measured on the first one's machine."""
    best = best_speeds(run)
    machines = {name: (found.environment.cpu, found.environment.cores) for name, found in run.measurements.items()}
    names = [name for name in run.engines if name in best and name in run.accuracy and run.accuracy[name].labelled]
    return [
        Rival(name, _find_accuracy(run, name), _find_speed(run, name))
        for name in names
        if machines[name] == machines[names[0]]
    ]


def find_front(rivals: Sequence[Rival]) -> list[str]:
    """Names of those that no other certainly beats, in their order."""
    return [rival.name for rival in rivals if not any(other.beats(rival) for other in rivals)]


def find_ties(rivals: Sequence[Rival]) -> list[tuple[str, str]]:
    """Pairs of names that neither accuracy nor speed sets apart."""
    return [(a.name, b.name) for a, b in combinations(rivals, 2) if a.ties(b)]


def _find_accuracy(run: Run, name: str) -> Figure:
    record = run.accuracy[name]
    top1, versus = record.accuracy() or 0.0, record.versus
    reference = run.accuracy.get(run.reference)
    if versus is not None and reference is not None and reference.images == record.images:
        base = reference.accuracy() or 0.0
        # Bounds of the difference reach past what a share can be, on few images.
        return Figure(top1, max(0.0, base - versus.high_pp / 100), min(1.0, base - versus.low_pp / 100))
    if name == run.reference and any(other.versus for other in run.accuracy.values()):
        return Figure(top1, top1, top1)
    return Figure(top1, *wilson_interval(record.hits[0], record.images))


def _find_speed(run: Run, name: str) -> Figure:
    rate = best_speeds(run)[name].rate
    return Figure(rate.value, *(rate.bounds or (0.0, float("inf"))))
