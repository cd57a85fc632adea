"""Images per second with what chance may have added to them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.metrics.latency import Latency
from seatrial.metrics.rate import find_interval
from seatrial.metrics.trust import doubt_rate
from seatrial.store.measurement import Point


@dataclass(frozen=True, slots=True)
class Rate:
    """Images per second, or a ratio of two such rates."""

    value: float
    low: float | None = None
    """Lower bound of the 95 % interval; None where only a figure is known."""
    high: float | None = None
    doubt: str | None = None
    """Why it is no end of a ratio, or, of a ratio, why it is withheld."""

    def scaled(self, factor: float) -> "Rate":
        """The same for `factor` of them."""
        low, high = (None if bound is None else factor * bound for bound in (self.low, self.high))
        return Rate(factor * self.value, low, high, self.doubt)


def measure_rate(points: Sequence[Point]) -> Rate:
    """The rate of points of one batch size and number of streams, all their samples together, with its interval."""
    size, streams = points[0].batch_size, points[0].streams
    samples = [point.durations_ms for point in points]
    value = Latency.of([ms for durations in samples for ms in durations], size, streams).images_per_s
    interval = find_interval(samples, size, streams)
    doubt = doubt_rate(interval, [point.others_busy for point in points])
    return Rate(value, doubt=doubt) if interval is None else Rate(value, interval.low, interval.high, doubt)


def divide(of: Rate, to: Rate) -> Rate:
    """How many times as fast; bounds only where both have them.

    The two errors are independent: as shares they add like the sides of a right angle.
    """
    value, doubt = of.value / to.value, of.doubt or to.doubt
    if of.low is None or of.high is None or to.low is None or to.high is None:
        return Rate(value, doubt=doubt)
    down = math.hypot(math.log(of.value / of.low), math.log(to.high / to.value))
    up = math.hypot(math.log(of.high / of.value), math.log(to.value / to.low))
    return Rate(value, value * math.exp(-down), value * math.exp(up), doubt)
