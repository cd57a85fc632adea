import numpy as np
import pytest

from seatrial.errors import UsageError
from seatrial.evaluation.select import select_stratified


def test_each_class_has_its_share() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    for count, shares in ((10, [6, 3, 1]), (100, [60, 30, 10]), (1000, [600, 300, 100])):
        chosen = select_stratified(labels, count, seed=1)
        assert np.bincount(labels[chosen], minlength=3).tolist() == shares
        assert (np.diff(chosen) > 0).all()


def test_left_over_seats_go_to_the_largest_remainders() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 20])  # of 7 seats 3.5, 2.1 and 1.4
    for seed in range(5):
        assert np.bincount(labels[select_stratified(labels, 7, seed)]).tolist() == [4, 2, 1]


def test_chance_decides_within_a_class_and_the_seed_decides_chance() -> None:
    labels = np.tile([0, 1], 500)
    first = select_stratified(labels, 100, seed=1)
    np.testing.assert_array_equal(first, select_stratified(labels, 100, seed=1))
    assert len(np.intersect1d(first, select_stratified(labels, 100, seed=2))) < 40
    seen = np.zeros(1000)
    for seed in range(400):
        seen[select_stratified(labels, 100, seed)] += 1
    assert seen.min() > 10 and seen.max() < 75  # 40 expected, standard deviation 6


@pytest.mark.parametrize("count", [0, 11])
def test_more_than_there_are_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match=rf"--limit {count} of 10 images"):
        select_stratified(np.zeros(10, int), count, 0)
