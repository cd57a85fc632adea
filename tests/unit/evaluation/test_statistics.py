import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm

from seatrial.evaluation.statistics import (
    Paired,
    compare_answers,
    drop_interval,
    images_to_settle,
    mcnemar_p,
    score_statistic,
    wilson_interval,
)


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


@pytest.mark.parametrize("counts", [(36, 12, 2, 0), (30, 4, 6, 60), (500, 3, 0, 37), (400, 9, 11, 80)])
@pytest.mark.parametrize("drop", [-0.03, 0.0, 0.01, 0.2])
def test_the_statistic_is_the_score_test_at_the_likelihoods_maximum(
    counts: tuple[int, int, int, int], drop: float
) -> None:
    both, lost, gained, neither = counts
    n = sum(counts)

    def negative_likelihood(gain: float) -> float:
        # Both losses and gains have their chance; what did not flip has the rest.
        return -(
            lost * math.log(gain + drop) + gained * math.log(gain) + (both + neither) * math.log1p(-2 * gain - drop)
        )

    ends = (max(0.0, -drop) + 1e-12, (1 - drop) / 2 - 1e-12)
    gain = minimize_scalar(negative_likelihood, bounds=ends, method="bounded", options={"xatol": 1e-12}).x
    expected = (lost - gained - n * drop) / math.sqrt(n * (2 * gain + drop - drop * drop))
    assert score_statistic(n, lost, gained, drop) == pytest.approx(expected, rel=2e-3, abs=1e-5)


@pytest.mark.parametrize("counts", [(36, 12, 2, 0), (512, 2, 0, 25), (0, 3, 9, 30)])
def test_the_bounds_are_the_drops_that_are_just_not_rejected(counts: tuple[int, int, int, int]) -> None:
    paired = Paired(*counts)
    low, high = drop_interval(paired)
    z = norm.ppf(0.95)
    assert score_statistic(paired.count, paired.lost, paired.gained, low) == pytest.approx(z)
    assert score_statistic(paired.count, paired.lost, paired.gained, high) == pytest.approx(-z)


def test_without_a_flip_the_bound_is_known() -> None:
    z = norm.ppf(0.95)
    assert drop_interval(Paired(512, 0, 0, 27))[1] == pytest.approx(z**2 / (539 + z**2))


def test_swapping_the_two_turns_the_interval_round() -> None:
    low, high = drop_interval(Paired(400, 30, 11, 99))
    assert drop_interval(Paired(400, 11, 30, 99)) == pytest.approx((-high, -low))


def test_the_interval_has_width_without_a_flip() -> None:
    low, high = drop_interval(Paired(500, 0, 0, 40))
    assert low == pytest.approx(-high)
    assert 0 < high < 0.01
    assert 0 < drop_interval(Paired(540, 0, 0, 0))[1] < 0.01


def test_many_images_make_it_walds() -> None:
    paired = Paired(750_000, 20_000, 10_000, 220_000)
    spread = norm.ppf(0.95) * math.sqrt(30_000 - 10_000**2 / 1_000_000) / 1_000_000
    assert drop_interval(paired) == pytest.approx((0.01 - spread, 0.01 + spread), abs=2e-6)


@pytest.mark.parametrize("counts", [(500, 5, 2, 33), (500, 9, 2, 29), (200, 0, 0, 10), (4000, 70, 30, 900)])
def test_so_many_more_images_settle_it_and_no_fewer(counts: tuple[int, int, int, int]) -> None:
    paired, gate = Paired(*counts), 0.01
    low, high = drop_interval(paired)
    more = images_to_settle(paired, gate)
    assert low < gate < high and more is not None and more > 0
    n = paired.count
    # Sets of the same shares, so with fractions of flips.
    statistics = [
        abs(score_statistic(n + extra, paired.lost * (n + extra) / n, paired.gained * (n + extra) / n, gate))
        for extra in (more - 1, more)
    ]
    assert statistics[0] < norm.ppf(0.95) <= statistics[1]


def test_without_a_flip_it_is_known_how_many_settle_it() -> None:
    # The upper bound z² / (n + z²) lies below the gate from n = z² · 99 = 267.9 on.
    assert images_to_settle(Paired(200, 0, 0, 10), 0.01) == 268 - 210


def test_a_settled_drop_needs_no_more_and_one_on_the_gate_can_have_none() -> None:
    assert images_to_settle(Paired(990, 2, 2, 6), 0.01) == 0
    assert images_to_settle(Paired(900, 60, 2, 38), 0.01) == 0
    assert images_to_settle(Paired(970, 12, 2, 16), 0.01) is None


def draw_high_bounds(accuracy: float, drop: float, flips: float, runs: int = 4000, images: int = 540) -> np.ndarray:
    """Upper bounds in simulated runs of a reference with `accuracy`, the true `drop` and this share of flips."""
    lost, gained = (flips + drop) / 2, (flips - drop) / 2
    shares = [accuracy - lost, lost, gained, 1 - accuracy - gained]
    tables, counted = np.unique(np.random.default_rng(17).multinomial(images, shares, runs), axis=0, return_counts=True)
    bounds = [drop_interval(Paired(*map(int, table)))[1] for table in tables]
    return np.repeat(bounds, counted)


@pytest.mark.parametrize(
    ("accuracy", "flips", "at_most"),
    [
        (0.955, 0.01, 0.055),
        (0.955, 0.015, 0.055),
        (0.955, 0.02, 0.06),
        (0.76, 0.01, 0.055),
        (0.76, 0.015, 0.055),
        (0.76, 0.02, 0.06),
    ],
)
def test_a_drop_as_large_as_the_gate_seldom_passes(accuracy: float, flips: float, at_most: float) -> None:
    passed = (draw_high_bounds(accuracy, 0.01, flips) < 0.01).mean()
    assert 0.02 < passed <= at_most


def test_no_drop_passes_mostly() -> None:
    assert (draw_high_bounds(0.955, 0.0, 0.005) < 0.01).mean() > 0.6


@pytest.mark.parametrize("lost", [0, 1, 2, 7, 30, 400])
@pytest.mark.parametrize("gained", [0, 1, 3, 29, 350])
def test_mcnemars_p_is_scipys_binomial_test(lost: int, gained: int) -> None:
    expected = binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert mcnemar_p(lost, gained) == pytest.approx(expected, rel=1e-9)


def test_answers_are_counted_image_by_image() -> None:
    labels = np.array([0, 1, 2, 3, 4, 5, 6, 7])
    reference = np.array([0, 1, 2, 3, 4, 9, 9, 9])  # 5 right
    answers = np.array([0, 1, 9, 8, 4, 5, 8, 9])  # loses 2 and 3, gains 5, changes one wrong answer
    found = compare_answers(reference, answers, labels, "torch")
    assert (found.reference, found.images, found.both_right, found.lost, found.gained) == ("torch", 8, 3, 2, 1)
    assert found.changed == 4
    assert found.drop_pp == pytest.approx(12.5)
    low, high = drop_interval(Paired(3, 2, 1, 2))
    assert (found.low_pp, found.high_pp) == pytest.approx((100 * low, 100 * high))
    assert found.p_value == 1.0
