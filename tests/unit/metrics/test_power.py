"""The power of McNemar's exact test, against sums over every table."""

import math

import pytest

from seatrial.metrics.power import find_detectable_drop, find_least_losses, find_power


def test_five_losses_without_a_gain_are_the_fewest_that_prove_a_drop() -> None:
    assert find_least_losses() == 5  # 1/32 is below 5 %, 1/16 is not.
    assert find_least_losses(0.01) == 7


def choose(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


@pytest.mark.parametrize(("count", "gain", "drop"), [(40, 0.0, 0.1), (60, 0.05, 0.1), (30, 0.2, 0.3)])
def test_power_is_the_sum_over_all_tables(count: int, gain: float, drop: float) -> None:
    found = 0.0
    for flips in range(count + 1):
        for lost in range(flips + 1):
            tail = sum(math.comb(flips, k) for k in range(lost, flips + 1)) / 2**flips
            if lost and tail <= 0.05:
                share = (gain + drop) / (2 * gain + drop)
                found += choose(count, flips, 2 * gain + drop) * choose(flips, lost, share)
    assert find_power(count, gain, drop) == pytest.approx(found, rel=1e-9)


def test_with_no_gains_the_power_is_that_of_five_losses() -> None:
    missed = sum(choose(539, k, 0.01) for k in range(5))
    assert find_power(539, 0.0, 0.01) == pytest.approx(1 - missed, rel=1e-9)


def test_the_detectable_drop_is_found_in_four_of_five_sets_and_a_smaller_one_is_not() -> None:
    drop = find_detectable_drop(539, 5)
    assert drop is not None and find_power(539, 5 / 539, drop) == pytest.approx(0.8, abs=1e-3)
    assert find_power(539, 5 / 539, 0.99 * drop) < 0.8


def test_four_images_can_show_no_drop() -> None:
    assert find_detectable_drop(4, 0) is None
    assert find_power(4, 0.0, 1.0) == 0.0
