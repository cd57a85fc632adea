import itertools

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from seatrial.metrics.calibration import (
    are_distributions,
    calibration_drift,
    log_sum_exp,
    measure_calibration,
)


def test_log_sum_exp_is_scipys_also_of_scores_that_overflow() -> None:
    scores = np.random.default_rng(0).normal(0, 20, (40, 300)).astype(np.float32)
    scores[0], scores[1] = scores[0] + 1e4, scores[1] - 1e4
    before = scores.copy()
    np.testing.assert_allclose(log_sum_exp(scores), logsumexp(scores.astype(np.float64), axis=1), rtol=1e-12)
    np.testing.assert_array_equal(scores, before)
    assert log_sum_exp(np.array([[3.0, 3.0]])) == pytest.approx([3 + np.log(2)], abs=1e-15)


def test_a_row_has_the_same_denominator_in_any_batch() -> None:
    scores = np.random.default_rng(1).normal(0, 3, (17, 1000)).astype(np.float32)
    alone = [log_sum_exp(row[None])[0] for row in scores]
    assert log_sum_exp(scores).tolist() == alone


def test_distributions_are_those_whose_scores_are_shares() -> None:
    logits = np.random.default_rng(2).normal(0, 3, (6, 10)).astype(np.float32)
    shares = softmax(logits, axis=1)
    assert are_distributions(shares).all() and are_distributions(shares.astype(np.float16)).all()
    assert not are_distributions(logits).any() and not are_distributions(shares * 1.5).any()
    assert not are_distributions(np.log(shares)).any()
    assert are_distributions(np.array([[1.5, -0.5], [0.5, 0.5], [1.0, 0.0]])).tolist() == [False, True, True]


def guo(confidences: np.ndarray, right: np.ndarray, bins: int) -> float:
    """The reference implementation's loop (gpleiss/temperature_scaling), as the paper's equation 5."""
    error, edges = 0.0, np.linspace(0, 1, bins + 1)
    for low, high in itertools.pairwise(edges):
        inside = (confidences > low) & (confidences <= high)
        if inside.any():
            error += abs(confidences[inside].mean() - right[inside].mean()) * inside.mean()
    return error


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_the_error_is_that_of_the_paper(bins: int) -> None:
    rng = np.random.default_rng(3)
    confidences = np.concatenate([rng.uniform(0.001, 1, 500), np.linspace(0, 1, 16)[1:], [1.0] * 9])
    right = rng.uniform(size=len(confidences)) < confidences**2
    found = measure_calibration(confidences, right, bins)
    assert found.error == pytest.approx(guo(confidences, right, bins), abs=1e-12)
    assert len(found.bins) == bins and sum(part.images for part in found.bins) == len(confidences)
    assert found.confidence == pytest.approx(confidences.mean(), abs=1e-12)
    assert found.accuracy == pytest.approx(right.mean(), abs=1e-12)


def test_a_worked_example_with_its_empty_bins() -> None:
    found = measure_calibration(np.array([0.95, 0.85, 0.85, 0.0]), np.array([True, True, False, False]), bins=10)
    assert found.error == pytest.approx((0.05 + 2 * 0.35 + 0) / 4, abs=1e-15)
    assert [part.images for part in found.bins] == [1, 0, 0, 0, 0, 0, 0, 0, 2, 1]
    assert (found.bins[8].confidence, found.bins[8].accuracy) == (pytest.approx(0.85), 0.5)
    assert (found.bins[1].confidence, found.bins[1].accuracy) == (None, None)


def test_what_says_half_and_is_right_half_the_time_has_no_error_and_its_drift_is_the_others() -> None:
    half, right = np.full(8, 0.5), np.arange(8) % 2 == 0
    calm, sure = measure_calibration(half, right), measure_calibration(np.full(8, 0.75), right)
    assert calm.error == 0 and sure.error == 0.25
    assert calibration_drift(sure, calm) == 0.25 and calibration_drift(calm, sure) == -0.25
