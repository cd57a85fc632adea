import math

import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

from seatrial.evaluation.statistics import mcnemar_p, score_statistic


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


@pytest.mark.parametrize("lost", [0, 1, 2, 7, 30, 400])
@pytest.mark.parametrize("gained", [0, 1, 3, 29, 350])
def test_mcnemars_p_is_scipys_binomial_test(lost: int, gained: int) -> None:
    expected = binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert mcnemar_p(lost, gained) == pytest.approx(expected, rel=1e-9)
