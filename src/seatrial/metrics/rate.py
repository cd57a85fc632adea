"""How sure a rate is, when a few processes took many samples each that are not independent of one another.

What repeats itself independently is the process: memory layout, clock, neighbours and the whole course of its samples
come anew with each. So the interval is Student's over the logarithms of the processes' mean times (Kalibera and Jones,
"Rigorous benchmarking in reasonable time", 2013: repeat at the highest level that varies). The mean of a process
carries its samples' noise in it, correlated or not, so nothing has to be assumed of them. A bootstrap of five
processes cannot do it: resampling five values loses a fifth of their variance and ignores the tails of Student's t.
One process alone shows only its own noise: then the same interval is over the means of `BLOCKS` blocks of
consecutive samples, each long enough to be nearly independent of its neighbours. Where timing ends as soon as that
interval is narrow enough (Chow and Robbins, "On the asymptotic theory of fixed-width sequential confidence intervals
for the mean", 1965), it ends sooner where the interval is too narrow by chance: for that it is widened by `SEQUENTIAL`.
`benchmarks/bench_statistics.py` simulates both beside three bootstraps.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from seatrial.metrics.latency import Latency

Sample = TypeVar("Sample")

CONFIDENCE = 0.95
BLOCKS = 10
"""Fewer would widen the interval by Student's t, more would make the blocks too short to be independent."""
SEQUENTIAL = 1.2
"""How much wider an interval is whose own width ends the timing: `benchmarks/bench_statistics.py` has the coverage."""
BLOCKS_QUANTILE = 2.2621571627409915
"""Student's t of `BLOCKS` values for `CONFIDENCE`: with it a process that measures needs no scipy."""


Bounds = tuple[float, float]
"""Where a rate lies with `CONFIDENCE`, in images per second; one of one process does not cover how much they differ."""


def find_interval(
    processes: Sequence[Sequence[float]], batch_size: int, streams: int = 1, sequential: bool = False
) -> Bounds | None:
    """The interval of the rate of all streams together.

    Args:
        processes: samples in milliseconds, each of one batch, by process and in the order of their starts.
        sequential: timing was to end by `find_half_width` of the samples.

    Returns:
        None where nothing repeats: one process with fewer samples than two blocks.
    """
    repeats = processes if len(processes) > 1 else split_blocks(processes[0]) if processes else ()
    if len(repeats) < 2:
        return None
    half = half_width(np.log([float(np.mean(repeat)) for repeat in repeats]))
    half *= SEQUENTIAL if sequential and len(processes) == 1 else 1
    pooled = Latency.of([ms for samples in processes for ms in samples], batch_size, streams).images_per_s
    return pooled * math.exp(-half), pooled * math.exp(half)


def find_half_width(samples: Sequence[float]) -> float:
    """Half the interval of the rate of one process whose timing may end by it, as a share of the rate.

    Args:
        samples: times of any unit, in the order of their starts; at least two for each of `BLOCKS`.
    """
    return SEQUENTIAL * half_width(np.log([float(np.mean(block)) for block in split_blocks(samples)]))


def find_rate_interval(images: Sequence[int], seconds: Sequence[float]) -> Bounds | None:
    """The interval of images per second over consecutive steps of one process, each with its images and its time.

    Student's over the logarithms of the rates of blocks of steps; None where there are fewer steps than two blocks.
    """
    blocks = split_blocks(list(zip(images, seconds, strict=True)))
    if len(blocks) < 2:
        return None
    rates = [sum(count for count, _ in block) / sum(time for _, time in block) for block in blocks]
    half = half_width(np.log(rates))
    pooled = sum(images) / sum(seconds)
    return pooled * math.exp(-half), pooled * math.exp(half)


def half_width(values: NDArray[np.float64]) -> float:
    """Half of Student's interval for the mean of independent values."""
    count = len(values)
    quantile = BLOCKS_QUANTILE if count == BLOCKS else _find_quantile(count - 1)
    return quantile * float(values.std(ddof=1)) / math.sqrt(count)


def _find_quantile(degrees: int) -> float:
    # Here, as a bare install, which has no scipy, reads cards, and so this file.
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))


def split_blocks(samples: Sequence[Sample]) -> list[Sequence[Sample]]:
    """Consecutive blocks of equal length, `BLOCKS` or as many as there are pairs; samples left over go to none."""
    count = min(BLOCKS, len(samples) // 2)
    length = len(samples) // count if count else 0
    return [samples[i * length : (i + 1) * length] for i in range(count)]
