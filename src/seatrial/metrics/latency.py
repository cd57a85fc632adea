"""Figures computed from stored samples when they are read, never stored instead of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def count_samples(percent: float) -> int:
    """Fewest samples, all below a bound, that put a percentile below it with 99 % confidence: MLPerf's 459 for 99."""
    return math.ceil(math.log(0.01) / math.log(percent / 100))


@dataclass(frozen=True, slots=True)
class Latency:
    """One batch size's samples in figures; all times in milliseconds for a whole batch."""

    batch_size: int
    samples: int
    min_ms: float
    mean_ms: float
    median_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    standard_deviation_ms: float
    images_per_s: float
    """Images over the summed time of all samples, times the streams: the rate of the whole timed window."""

    @property
    def variation(self) -> float:
        """The coefficient of variation: standard deviation over mean."""
        return self.standard_deviation_ms / self.mean_ms

    @classmethod
    def of(cls, durations_ms: Sequence[float], batch_size: int, streams: int = 1) -> "Latency":
        """Figures of samples that each ran one batch; percentiles are numpy's linear ones.

        With several `streams`, that many samples ran at any moment: the rate is theirs together (Little's law).

        Raises:
            ValueError: there are no samples.
        """
        if not durations_ms:
            raise ValueError("no samples to summarise")
        times = np.asarray(durations_ms, dtype=np.float64)
        p90, p95, p99 = (float(p) for p in np.percentile(times, [90, 95, 99]))
        return cls(
            batch_size=batch_size,
            samples=len(times),
            min_ms=float(times.min()),
            mean_ms=float(times.mean()),
            median_ms=float(np.median(times)),
            p90_ms=p90,
            p95_ms=p95,
            p99_ms=p99,
            standard_deviation_ms=float(times.std(ddof=1)) if len(times) > 1 else 0.0,
            images_per_s=float(1000 * batch_size * streams * len(times) / times.sum()),
        )
