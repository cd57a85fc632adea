"""The speed of an engine at each batch size, computed from every stored sample."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seatrial.metrics.latency import Latency
from seatrial.results.rate import Rate, measure_latency, measure_rate
from seatrial.store.measurement import Measurement, Scope, Unmeasured


@dataclass(frozen=True, slots=True)
class Speed:
    """One engine at one batch size: all its points together."""

    engine: str
    streams: int
    latency: Latency
    rate: Rate
    """Of all streams together."""
    scope: Scope
    processes: int
    """That the samples come from."""

    @property
    def images_per_s(self) -> float:
        """The rate of all streams together."""
        return self.rate.value

    @property
    def doubt(self) -> str | None:
        """Why the rate is no end of a ratio: see `metrics.trust`."""
        return self.rate.doubt

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
        speeds.append(Speed(measurement.name, streams, latency, rate, of_scope, len(points)))
    return tuple(speeds)


def find_best(speeds: Sequence[Speed], budget_ms: float | None = None) -> Speed | None:
    """The most images per second, where 99 % of the batches take no longer than the budget; None if none is so fast."""
    within = [s for s in speeds if budget_ms is None or s.latency.p99_ms <= budget_ms]
    return max(within, key=lambda s: s.images_per_s, default=None)


def explain_unmeasured(absent: Unmeasured, measurement: Measurement) -> str:
    """Why a batch size has no samples, or those of fewer processes than requested."""
    done = sum(point.setting == absent.setting for point in measurement.points)
    outcome = f"given up after {done} process{'es' if done > 1 else ''}" if done else "not measured"
    return f"batch {absent.batch_size}: {outcome}: {absent.reason}"
