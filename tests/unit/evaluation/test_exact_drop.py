import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import multinomial

from seatrial.evaluation.exact_drop import exact_p, score_tail
from seatrial.evaluation.statistics import Paired, score_statistic


def list_tables(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gains of every table of `count` images."""
    lost, gained = np.mgrid[: count + 1, : count + 1]
    possible = lost + gained <= count
    return lost[possible], gained[possible]


def add_up_tail(count: int, drop: float, statistic: float) -> float:
    """The chance of all tables at or below a statistic, one by one, at the worst of many chances of a gain."""
    lost, gained = list_tables(count)
    within = score_statistic(count, lost, gained, drop) <= statistic + 1e-9
    tables = np.stack([lost, gained, count - lost - gained], axis=1)[within]
    gains = np.linspace(max(0.0, -drop), (1 - drop) / 2, 800)
    return max(float(multinomial(count, [g + drop, g, max(0.0, 1 - drop - 2 * g)]).pmf(tables).sum()) for g in gains)


@pytest.mark.parametrize("drop", [0.05, 0.2, 0.0, -0.05, -0.2])
@pytest.mark.parametrize("table", [(0, 0), (1, 0), (0, 2), (3, 1), (2, 7)])
def test_the_p_value_is_the_sum_over_the_tables(drop: float, table: tuple[int, int]) -> None:
    lost, gained = table
    expected = add_up_tail(25, drop, float(score_statistic(25, lost, gained, drop)))
    assert exact_p(Paired(25 - lost - gained, lost, gained, 0), drop) == pytest.approx(expected, rel=0.01)


def test_five_gains_of_five_have_the_chance_of_five_coins() -> None:
    assert exact_p(Paired(0, 0, 5, 0), 0.0) == pytest.approx(1 / 32)


def test_without_a_flip_the_drop_is_as_likely_as_none_lost() -> None:
    assert exact_p(Paired(300, 0, 0, 40), 0.01) == pytest.approx(0.99**340, rel=1e-6)


def test_a_table_that_says_nothing_has_the_chance_of_one() -> None:
    assert exact_p(Paired(100, 0, 0, 0), 0.0) == pytest.approx(1)
    assert score_tail(100, 0.01, 50.0) == pytest.approx(1)


def test_the_order_of_the_tables_follows_losses_and_gains() -> None:
    lost, gained = np.mgrid[:21, :21]
    for drop in (-0.1, -0.01, 0.01, 0.1):
        statistic = score_statistic(60, lost, gained, drop)
        assert (np.diff(statistic, axis=0) > 0).all() and (np.diff(statistic, axis=1) < 0).all()


@pytest.mark.parametrize("level", [0.0005, 0.002, 0.03])
@pytest.mark.parametrize("drop", [0.002, 0.01])
@pytest.mark.parametrize("count", [3000, 50_000])
def test_below_a_gate_the_normal_curve_would_do(count: int, drop: float, level: float) -> None:
    assert 0.97 * level < score_tail(count, drop, float(ndtri(level))) < 1.04 * level


def test_above_a_gate_the_normal_curve_errs_more_often_than_it_says() -> None:
    assert score_tail(3000, -0.005, float(ndtri(0.0005))) > 3 * 0.0005
    assert score_tail(50_000, -0.01, float(ndtri(0.03))) < 1.1 * 0.03
