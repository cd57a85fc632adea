import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import stdtrit

from seatrial.metrics.latency import Latency
from seatrial.metrics.rate import (
    BLOCKS,
    BLOCKS_QUANTILE,
    CONFIDENCE,
    SEQUENTIAL,
    find_half_width,
    find_interval,
    find_rate_interval,
    half_width,
    split_blocks,
)

T_4 = 2.7764451  # Student's two-sided 95 % with four degrees of freedom, from any table
RUNS = 300


def simulate(rng: np.random.Generator, between: float, within: float, correlation: float) -> NDArray[np.float64]:
    """Five processes with 200 samples each around 10 ms: lognormal between them, an AR(1) within, a spike in 100."""
    noise = rng.standard_normal((5, 200))
    for i in range(1, 200):
        noise[:, i] = correlation * noise[:, i - 1] + math.sqrt(1 - correlation**2) * noise[:, i]
    spikes = (1 + 2 * (rng.random((5, 200)) < 0.01)) / 1.02
    centre = np.exp(between * rng.standard_normal((5, 1)) - between**2 / 2)
    return np.asarray(10 * centre * np.exp(within * noise - within**2 / 2) * spikes)


def test_five_processes_give_students_interval_of_their_logarithms() -> None:
    found = find_interval([[10.0 * math.exp(0.01 * k)] * 3 for k in (-2, -1, 0, 1, 2)], batch_size=4, streams=2)
    assert found is not None
    half = T_4 * math.sqrt(2.5e-4) / math.sqrt(5)
    assert math.log(found[1] / found[0]) == pytest.approx(2 * half, rel=1e-6)
    centre = Latency.of([10.0 * math.exp(0.01 * k) for k in (-2, -1, 0, 1, 2)], 4, 2).images_per_s
    assert math.sqrt(found[0] * found[1]) == pytest.approx(centre)


def test_two_processes_are_twelve_times_their_error() -> None:
    assert half_width(np.array([0.0, 0.02])) == pytest.approx(12.7062 * 0.01, rel=1e-4)


def test_one_process_is_cut_into_blocks_of_consecutive_samples() -> None:
    blocks = split_blocks([float(i) for i in range(57)])
    assert len(blocks) == BLOCKS == 10
    assert [list(b) for b in blocks[:2]] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    # Samples that alternate differ, their blocks of ten do not.
    found = find_interval([[9.0, 11.0] * 50], 1)
    assert found == pytest.approx((100, 100))


def test_students_t_of_the_blocks_is_scipys() -> None:
    assert stdtrit(BLOCKS - 1, (1 + CONFIDENCE) / 2) == pytest.approx(BLOCKS_QUANTILE, rel=1e-10)


def test_an_interval_that_ended_its_own_timing_is_wider() -> None:
    samples = [10.0 + 0.01 * (i % 7) + 0.02 * (i // 50) for i in range(500)]
    plain, sequential = find_interval([samples], 1), find_interval([samples], 1, sequential=True)
    assert plain is not None and sequential is not None
    widths = [math.log(high / low) / 2 for low, high in (plain, sequential)]
    assert widths[1] == pytest.approx(SEQUENTIAL * widths[0])
    assert find_half_width(samples) == pytest.approx(widths[1])
    # Among several processes each is one value, and none of them ended the others.
    assert find_interval([samples, samples[1:]], 1, True) == find_interval([samples, samples[1:]], 1)


def test_without_repetition_there_is_no_interval() -> None:
    assert find_interval([], 1) is None
    assert find_interval([[10.0, 10.0, 10.0]], 1) is None
    assert find_interval([[10.0] * 4], 1) is not None


@pytest.mark.parametrize(
    ("between", "within", "correlation"), [(0.02, 0.05, 0.9), (0.0, 0.05, 0.95), (0.05, 0.02, 0.5)]
)
def test_the_interval_covers_the_truth(between: float, within: float, correlation: float) -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(RUNS):
        found = find_interval(simulate(rng, between, within, correlation).tolist(), batch_size=1)
        assert found is not None
        hits += found[0] <= 100 <= found[1]
    # 95 % of 300 is 285 with a standard error of 3.8. The percentile bootstrap of processes covers 82 %, of samples 30.
    assert 0.92 <= hits / RUNS <= 0.98


def test_steps_of_one_process_are_cut_into_blocks() -> None:
    """Ten blocks whose rates are 8 and 16 by turns: Student's interval of ten logarithms, worked out by hand."""
    seconds = [1.0, 1.0, 0.5, 0.5] * 5
    found = find_rate_interval([8] * 20, seconds)
    half = 2.262157 * (math.log(2) / 2) * math.sqrt(10 / 9) / math.sqrt(10)
    pooled = 160 / 15
    assert found == pytest.approx((pooled * math.exp(-half), pooled * math.exp(half)), rel=1e-6)


def test_too_few_steps_have_no_interval() -> None:
    assert find_rate_interval([8, 8, 8], [1.0, 2.0, 3.0]) is None
    assert find_rate_interval([8] * 4, [1.0] * 4) == (8.0, 8.0)
