"""The speed of an engine at each batch size, computed from every stored sample."""

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.metrics.latency import Latency
from seatrial.metrics.rate import RateInterval, find_interval
from seatrial.metrics.trust import doubt_rate
from seatrial.store.measurement import Measurement, Point, Scope, Unmeasured


@dataclass(frozen=True, slots=True)
class Speed:
    """One engine at one batch size: all its points together."""

    engine: str
    streams: int
    latency: Latency
    scope: Scope = "host"
    interval: RateInterval | None = None
    """Of `images_per_s`, 95 %."""
    doubt: str | None = None
    """Why it is no end of a ratio: see `metrics.trust`."""

    @property
    def images_per_s(self) -> float:
        """The rate of all streams together."""
        return self.latency.images_per_s

    @property
    def batch(self) -> str:
        """The batch size, and the streams where there are several."""
        size = str(self.latency.batch_size)
        return size if self.streams == 1 else f"{size} on {self.streams} streams"


def speeds_of(measurement: Measurement, scope: Scope = "host") -> tuple[Speed, ...]:
    """Figures by streams and batch size, smallest first."""
    contradicted = measurement.contradicted if scope == "host" else None
    return tuple(_merge(measurement.name, points, contradicted) for points in measurement.by_setting(scope).values())


def _merge(engine: str, points: Sequence[Point], contradicted: str | None) -> Speed:
    scope, streams, size = points[0].setting
    processes = [point.durations_ms for point in points]
    latency = Latency.of([ms for samples in processes for ms in samples], size, streams)
    interval = find_interval(processes, size, streams)
    doubt = contradicted or doubt_rate(interval, [point.others_busy for point in points])
    return Speed(engine, streams, latency, scope, interval, doubt)


def find_best(speeds: Sequence[Speed], budget_ms: float | None = None) -> Speed | None:
    """The most images per second, where 99 % of the batches take no longer than the budget; None if none is so fast."""
    within = [s for s in speeds if budget_ms is None or s.latency.p99_ms <= budget_ms]
    return max(within, key=lambda s: s.images_per_s, default=None)


def say_unmeasured(absent: Unmeasured, measurement: Measurement) -> str:
    """Why a batch size has no samples, or those of fewer processes than were asked for."""
    done = sum(point.setting == absent.setting for point in measurement.points)
    outcome = f"given up after {done} process{'es' if done > 1 else ''}" if done else "not measured"
    return f"batch {absent.batch_size}: {outcome}: {absent.reason}"
