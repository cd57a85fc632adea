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

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Of the 95 % interval, where there is one."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def scaled(self, factor: float) -> "Rate":
        """The same for `factor` of them."""
        low, high = (None if bound is None else factor * bound for bound in (self.low, self.high))
        return Rate(factor * self.value, low, high, self.doubt)


def measure_latency(points: Sequence[Point]) -> Latency:
    """The latency of points of one batch size and number of streams, all their samples together."""
    return Latency.of([ms for point in points for ms in point.durations_ms], points[0].batch_size, points[0].streams)


def measure_rate(points: Sequence[Point], latency: Latency | None = None) -> Rate:
    """The rate of points of one batch size and number of streams, with its interval; `latency` is theirs, if known."""
    latency = latency or measure_latency(points)
    interval = find_interval([point.durations_ms for point in points], points[0].batch_size, points[0].streams)
    value, doubt = latency.images_per_s, doubt_rate(interval, [point.others_busy for point in points])
    return Rate(value, doubt=doubt) if interval is None else Rate(value, interval.low, interval.high, doubt)


def divide(of: Rate, to: Rate) -> Rate:
    """How many times as fast; bounds only where both have them.

    The two errors are independent: as shares they add like the sides of a right angle.
    """
    value, doubt = of.value / to.value, of.doubt or to.doubt
    if of.bounds is None or to.bounds is None:
        return Rate(value, doubt=doubt)
    (of_low, of_high), (to_low, to_high) = of.bounds, to.bounds
    down = math.hypot(math.log(of.value / of_low), math.log(to_high / to.value))
    up = math.hypot(math.log(of_high / of.value), math.log(to.value / to_low))
    return Rate(value, value * math.exp(-down), value * math.exp(up), doubt)
