"""The speed of an engine at each batch size and what chance may have added to it, from every stored sample."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from seatrial.metrics.latency import Latency
from seatrial.metrics.rate import Bounds, find_interval
from seatrial.metrics.trust import doubt_rate
from seatrial.results.energy import find_joules_per_image
from seatrial.store.measurement import EnergyScope, Measurement, Point, Scope, Unmeasured


@dataclass(frozen=True, slots=True)
class Rate:
    """Images per second, or a ratio of two such rates."""

    value: float
    bounds: Bounds | None = None
    """Of the 95 % interval; None where only a figure is known."""
    doubt: str | None = None
    """Why it is no end of a ratio, or, of a ratio, why it is withheld."""

    def scaled(self, factor: float) -> "Rate":
        """The same for `factor` of them."""
        bounds = None if self.bounds is None else (factor * self.bounds[0], factor * self.bounds[1])
        return Rate(factor * self.value, bounds, self.doubt)


def measure_latency(points: Sequence[Point]) -> Latency:
    """The latency of points of one batch size and number of streams, all their samples together."""
    return Latency.of([ms for point in points for ms in point.durations_ms], points[0].batch_size, points[0].streams)


def measure_rate(points: Sequence[Point], latency: Latency | None = None) -> Rate:
    """The rate of points of one batch size and number of streams, with its interval; `latency` is theirs, if known."""
    latency = latency or measure_latency(points)
    samples = [point.durations_ms for point in points]
    sequential = any(point.precision is not None for point in points)
    interval = find_interval(samples, points[0].batch_size, points[0].streams, sequential)
    return Rate(latency.images_per_s, interval, doubt_rate(interval, [point.others_busy for point in points]))


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
    return Rate(value, (value * math.exp(-down), value * math.exp(up)), doubt)


@dataclass(frozen=True, slots=True)
class Speed:
    """One engine at one batch size: all its points together."""

    streams: int
    latency: Latency
    rate: Rate
    """Of all streams together."""
    scope: Scope
    processes: int
    """That the samples come from."""
    joules_per_image: Mapping[EnergyScope, float] = field(default_factory=dict)
    """By each meter that was read."""

    @property
    def images_per_s(self) -> float:
        """The rate of all streams together."""
        return self.rate.value

    @property
    def batch(self) -> str:
        """The batch size, and the streams where there are several."""
        size = str(self.latency.batch_size)
        return size if self.streams == 1 else f"{size} on {self.streams} streams"


def measure_speeds(measurement: Measurement, scope: Scope | None = "host") -> tuple[Speed, ...]:
    """Figures by scope, streams and batch size, smallest first; of one scope or of all."""
    speeds = []
    for (of_scope, streams, _), points in measurement.by_setting(scope).items():
        latency = measure_latency(points)
        rate = measure_rate(points, latency)
        if of_scope == "host" and measurement.contradicted:
            rate = replace(rate, doubt=measurement.contradicted)
        speeds.append(Speed(streams, latency, rate, of_scope, len(points), find_joules_per_image(points)))
    return tuple(speeds)


def find_memory(points: Sequence[Point]) -> int:
    """The most bytes that one of their processes took: on the accelerator where any driver reports that."""
    on_device = [point.device_memory_bytes for point in points if point.device_memory_bytes]
    return max(on_device or [point.peak_rss_bytes for point in points])


def find_timed_s(measurement: Measurement) -> float:
    """Mean seconds from a point's first sample to the end of its last."""
    lengths = [p.starts_s[-1] + p.durations_ms[-1] / 1000 for p in measurement.points if p.durations_ms]
    return sum(lengths) / len(lengths) if lengths else 0.0


def find_best(speeds: Sequence[Speed], budget_ms: float | None = None) -> Speed | None:
    """The most images per second, where 99 % of the batches take no longer than the budget; None if none is so fast."""
    within = [s for s in speeds if budget_ms is None or s.latency.p99_ms <= budget_ms]
    return max(within, key=lambda s: s.images_per_s, default=None)


def explain_unmeasured(absent: Unmeasured, measurement: Measurement) -> str:
    """Why a batch size has no samples, or those of fewer processes than requested."""
    done = sum(point.setting == absent.setting for point in measurement.points)
    outcome = f"given up after {done} process{'es' if done > 1 else ''}" if done else "not measured"
    return f"batch {absent.batch_size}: {outcome}: {absent.reason}"
