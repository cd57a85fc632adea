"""Accuracy against speed: every engine as a point with intervals, and those that no other certainly beats."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seatrial.metrics.intervals import wilson_interval
from seatrial.metrics.pareto import NONE, Intervals, find_beaten
from seatrial.metrics.pareto import find_ties as find_tied
from seatrial.report.speed import best_speeds
from seatrial.results.run_folder import Run


@dataclass(frozen=True, slots=True)
class Figure:
    """A value and where it lies with its confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rival:
    """One engine, to be compared with others."""

    name: str
    accuracy: Figure
    """Top-1, a fraction; the interval is that of its difference from the reference, where there is one."""
    speed: Figure
    """Images per second at its best batch size."""
    first_classes: str
    """Those that give every image the same first class have it in common."""


def list_rivals(run: Run) -> list[Rival]:
    """The engines with both figures, in the order of the run; only those measured on the first one's machine."""
    best = best_speeds(run)
    machines = {name: (found.environment.cpu, found.environment.cores) for name, found in run.measurements.items()}
    names = [name for name in run.engines if name in best and name in run.accuracy and run.accuracy[name].labelled]
    return [
        Rival(name, _find_accuracy(run, name), _find_speed(run, name), run.name_first_classes(run.accuracy[name]))
        for name in names
        if machines[name] == machines[names[0]]
    ]


def find_front(rivals: Sequence[Rival]) -> list[str]:
    """Names of those that no other certainly beats (`metrics.pareto.find_beaten`), in their order."""
    if not rivals:
        return []
    beaten = find_beaten(*_collect(rivals), [rival.first_classes for rival in rivals])
    return [rival.name for rival, place in zip(rivals, beaten, strict=True) if place == NONE]


def find_ties(rivals: Sequence[Rival]) -> list[tuple[str, str]]:
    """Pairs of names that neither accuracy nor speed sets apart."""
    later = np.arange(len(rivals))
    return [
        (rival.name, rivals[other].name)
        for place, rival in enumerate(rivals)
        for other in find_tied(*_collect(rivals), place, later[place + 1 :])
    ]


def _collect(rivals: Sequence[Rival]) -> tuple[Intervals, Intervals]:
    """The bounds of speeds and accuracies, each (n, 2)."""
    speeds = np.array([(rival.speed.low, rival.speed.high) for rival in rivals])
    return speeds, np.array([(rival.accuracy.low, rival.accuracy.high) for rival in rivals])


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
