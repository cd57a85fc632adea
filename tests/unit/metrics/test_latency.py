import math
from dataclasses import asdict

import pytest

from seatrial.metrics.latency import Latency


def test_figures_of_four_samples() -> None:
    found = Latency.of([4.0, 1.0, 2.0, 3.0], batch_size=8)
    assert asdict(found) == pytest.approx(
        {
            "batch_size": 8,
            "samples": 4,
            "min_ms": 1,
            "mean_ms": 2.5,
            "median_ms": 2.5,
            # Linear between order statistics: position 3q.
            "p90_ms": 3.7,
            "p95_ms": 3.85,
            "p99_ms": 3.97,
            "standard_deviation_ms": math.sqrt(5 / 3),
            "images_per_s": 8 * 4 / 0.010,
        }
    )
    assert found.variation == pytest.approx(math.sqrt(5 / 3) / 2.5)


def test_streams_that_run_at_once_add_their_rates() -> None:
    assert Latency.of([20.0] * 6, batch_size=2, streams=3).images_per_s == pytest.approx(300)


def test_the_rate_is_that_of_the_whole_window_not_of_the_median() -> None:
    assert Latency.of([10.0, 10.0, 10.0, 970.0], batch_size=1).images_per_s == pytest.approx(4)


def test_a_single_sample_has_no_spread() -> None:
    found = Latency.of([5.0], batch_size=1)
    assert (found.standard_deviation_ms, found.variation, found.p99_ms, found.images_per_s) == (0, 0, 5, 200)


def test_no_samples_have_no_figures() -> None:
    with pytest.raises(ValueError, match="no samples"):
        Latency.of([], batch_size=1)
