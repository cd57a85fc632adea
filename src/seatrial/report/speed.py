"""Speed figures of a run, computed from every stored sample."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from seatrial.report.doubts import merge_doubts, strip_numbers
from seatrial.report.numbers import join_words
from seatrial.results.run_folder import Run
from seatrial.results.speed import Speed, measure_speeds


class _Same:
    """A run as a key: it is frozen, but holds mappings, so that it is known again by being the same one."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __hash__(self) -> int:
        return id(self.run)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.run is self.run


def all_speeds(run: Run) -> dict[str, tuple[Speed, ...]]:
    """Figures by engine, in the order of the run; engines without samples are left out."""
    return dict(_measure_all(_Same(run)))


@lru_cache(maxsize=1)
def _measure_all(same: _Same) -> dict[str, tuple[Speed, ...]]:
    """Measured once for a page, whose tables and charts all start from these."""
    every = {name: measure_speeds(measurement) for name, measurement in same.run.measurements.items()}
    return {name: speeds for name, speeds in every.items() if speeds}


def best_speeds(run: Run) -> dict[str, Speed]:
    """The most images per second of each engine, whatever its batch size."""
    return {name: max(speeds, key=lambda s: s.images_per_s) for name, speeds in all_speeds(run).items()}


def find_ratio(run: Run, best: Mapping[str, Speed], engine: str, base: str) -> float | None:
    """How many times as fast as `base` an engine is at best.

    None when one of them was not measured or is in doubt, or when they were measured on different machines.
    """
    if engine not in best or base not in best:
        return None
    # Of the same processor, with as many cores.
    a, b = (run.measurements[name].environment for name in (engine, base))
    if (a.cpu, a.cores) != (b.cpu, b.cores) or (engine != base and explain_withheld(best, engine, base)):
        return None
    return best[engine].images_per_s / best[base].images_per_s


def explain_withheld(best: Mapping[str, Speed], *engines: str) -> str:
    """Why there is no ratio to or from some engines, all unless named; empty where nothing speaks against one."""
    groups: dict[str, dict[str, str]] = {}
    for name in engines or best:
        doubt = best[name].rate.doubt if name in best else None
        if doubt is not None:
            groups.setdefault(strip_numbers(doubt), {})[name] = doubt
    merged = {join_words(list(group)): "; ".join(merge_doubts(group.values())) for group in groups.values()}
    return "; ".join(f"{names}: {doubt}" for names, doubt in merged.items())


def find_tied(best: Mapping[str, Speed], engine: str, names: Sequence[str]) -> list[str]:
    """Those of `names` whose best rate cannot be told from that of `engine`: the intervals overlap, or one has none."""

    def overlap(a: Speed, b: Speed) -> bool:
        (a_low, a_high), (b_low, b_high) = (speed.rate.bounds or (0.0, float("inf")) for speed in (a, b))
        return a_low <= b_high and b_low <= a_high

    return [name for name in names if name != engine and overlap(best[name], best[engine])]


def find_common_batch(run: Run) -> int | None:
    """The smallest batch size that every measured engine ran on one stream."""
    sizes = [{s.latency.batch_size for s in speeds if s.streams == 1} for speeds in all_speeds(run).values()]
    return min(set.intersection(*sizes), default=None) if sizes else None
