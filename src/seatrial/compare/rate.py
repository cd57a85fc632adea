"""Images per second with what chance may have added to them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from seatrial.metrics.latency import Latency
from seatrial.store.measurement import Point

BLOCKS = 10
"""A single process is cut into so many stretches of consecutive samples: neighbours are alike, stretches hardly."""
LEVEL = 0.975
"""Of each bound, so that both together hold 95 %."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Images per second, or a ratio of two such rates."""

    value: float
    low: float | None = None
    """Lower bound of the 95 % interval; None where only a figure is known."""
    high: float | None = None

    def scaled(self, factor: float) -> "Rate":
        """The same for `factor` of them."""
        bounds = (None if bound is None else factor * bound for bound in (self.low, self.high))
        return Rate(factor * self.value, *bounds)


def measure_rate(points: Sequence[Point]) -> Rate:
    """The rate of points of one batch size and number of streams, all their samples together.

    The interval is Student's on the logarithm of what each process reached; of what each stretch of it reached, where
    there is one process.
    """
    size, streams = points[0].batch_size, points[0].streams
    samples = [point.durations_ms for point in points]
    value = Latency.of([ms for durations in samples for ms in durations], size, streams).images_per_s
    groups = samples if len(samples) > 1 else _cut(samples[0])
    if len(groups) < 2:
        return Rate(value)
    logs = np.log([Latency.of(group, size, streams).images_per_s for group in groups])
    half = float(stdtrit(len(groups) - 1, LEVEL)) * float(logs.std(ddof=1)) / math.sqrt(len(groups))
    return Rate(value, value * math.exp(-half), value * math.exp(half))


def _cut(durations_ms: Sequence[float]) -> list[Sequence[float]]:
    count = min(BLOCKS, len(durations_ms))
    return [block.tolist() for block in np.array_split(np.asarray(durations_ms, dtype=np.float64), count)]


def divide(of: Rate, to: Rate) -> Rate:
    """How many times as fast; bounds only where both have them.

    The two errors are independent: as shares they add like the sides of a right angle.
    """
    value = of.value / to.value
    if of.low is None or of.high is None or to.low is None or to.high is None:
        return Rate(value)
    down = math.hypot(math.log(of.value / of.low), math.log(to.high / to.value))
    up = math.hypot(math.log(of.high / of.value), math.log(to.value / to.low))
    return Rate(value, value * math.exp(-down), value * math.exp(up))
