"""Speed figures of a run, computed from every stored sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seatrial.metrics.latency import Latency
from seatrial.metrics.rate import RateInterval, find_interval
from seatrial.metrics.trust import doubt_rate
from seatrial.results.run_folder import Run
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


def all_speeds(run: Run) -> dict[str, tuple[Speed, ...]]:
    """Figures by engine, in the order of the run; engines without samples are left out."""
    found = {name: speeds_of(measurement) for name, measurement in run.measurements.items()}
    return {name: speeds for name, speeds in found.items() if speeds}


def best_speeds(run: Run) -> dict[str, Speed]:
    """The most images per second of each engine, whatever its batch size."""
    return {name: max(speeds, key=lambda s: s.images_per_s) for name, speeds in all_speeds(run).items()}


def find_ratio(run: Run, best: Mapping[str, Speed], engine: str, base: str) -> float | None:
    """How many times as fast as `base` an engine is at best.

    None when one of them was not measured or is in doubt, or when they were measured on different machines.
    """
    if engine not in best or base not in best or not same_machine(run, engine, base):
        return None
    if engine != base and (best[engine].doubt or best[base].doubt):
        return None
    return best[engine].images_per_s / best[base].images_per_s


def explain_withheld(best: Mapping[str, Speed]) -> dict[str, str]:
    """Why there is no ratio to or from an engine, by its name."""
    return {name: speed.doubt for name, speed in best.items() if speed.doubt is not None}


def same_machine(run: Run, first: str, second: str) -> bool:
    """Whether both engines were timed on the same processor, with as many cores."""
    a, b = (run.measurements[name].environment for name in (first, second))
    return (a.cpu, a.cores) == (b.cpu, b.cores)


def find_common_batch(run: Run) -> int | None:
    """The smallest batch size that every measured engine ran on one stream."""
    sizes = [{s.latency.batch_size for s in speeds if s.streams == 1} for speeds in all_speeds(run).values()]
    return min(set.intersection(*sizes), default=None) if sizes else None
