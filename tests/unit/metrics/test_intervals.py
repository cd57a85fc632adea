import pytest
from scipy.stats import binom, binomtest

from seatrial.metrics.intervals import exact_bounds, wilson_interval


def test_wilsons_interval_is_newcombes_example() -> None:
    # Newcombe (1998a), table I: 81 of 263, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(("hits", "count"), [(0, 20), (1, 29), (15, 148), (20, 20), (37100, 50000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilsons_interval_is_scipys(hits: int, count: int, confidence: float) -> None:
    expected = binomtest(hits, count).proportion_ci(confidence, method="wilson")
    assert wilson_interval(hits, count, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilsons_interval_ends_where_fractions_do() -> None:
    assert wilson_interval(0, 5)[0] == 0
    assert wilson_interval(5, 5)[1] == 1
    assert wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize(("hits", "count"), [(0, 20), (1, 29), (15, 148), (20, 20), (37100, 50000)])
@pytest.mark.parametrize("confidence", [0.95, 0.975])
def test_exact_bounds_are_where_the_binomials_tail_is_the_level(hits: int, count: int, confidence: float) -> None:
    low, high = exact_bounds(hits, count, confidence)
    assert low == 0 if hits == 0 else binom.sf(hits - 1, count, low) == pytest.approx(1 - confidence)
    assert high == 1 if hits == count else binom.cdf(hits, count, high) == pytest.approx(1 - confidence)
