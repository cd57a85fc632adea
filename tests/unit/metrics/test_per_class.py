"""Class by class against figures worked out by hand."""

import numpy as np
import pytest

from seatrial.metrics.per_class import ClassPair, adjust_holm, count_confusions


def make_pair(images: int, lost: int, gained: int, others: int = 0) -> ClassPair:
    """Class 7 with so many images, of which the reference has all right but the gained ones; `others` without flips."""
    labels = np.array([7] * images + list(range(10, 10 + others)), dtype=np.int32)
    reference, other = labels.copy(), labels.copy()
    reference[:gained] = 0
    other[images - lost : images] = 0
    return ClassPair.of(labels, reference, other)


def test_counts_by_class() -> None:
    labels = np.array([2, 2, 2, 5, 5])
    pair = ClassPair.of(labels, np.array([2, 2, 0, 5, 0]), np.array([2, 0, 2, 0, 1]))
    assert pair.classes.tolist() == [2, 5] and pair.images.tolist() == [3, 2]
    assert (pair.reference_right.tolist(), pair.right.tolist()) == ([2, 1], [2, 0])
    assert (pair.lost.tolist(), pair.gained.tolist()) == ([1, 1], [1, 0])


@pytest.mark.parametrize(("lost", "gained", "p"), [(5, 0, 1 / 32), (0, 0, 1.0), (0, 3, 1.0), (3, 1, 5 / 16)])
def test_p_is_the_tail_of_a_fair_coin(lost: int, gained: int, p: float) -> None:
    assert make_pair(20, lost, gained).find_p()[0] == pytest.approx(p, rel=1e-12)


def test_the_least_drop_is_clopper_and_pearsons() -> None:
    # 8 of 8 flips lost: the share is at least 0.05^(1/8), of 40 images.
    assert make_pair(40, 8, 0).find_least_drop()[0] == pytest.approx((2 * 0.05 ** (1 / 8) - 1) * 8 / 40, rel=1e-9)
    # Among five classes each bound is at a fifth of the level.
    assert make_pair(40, 8, 0, others=4).find_least_drop()[0] == pytest.approx(
        (2 * 0.01 ** (1 / 8) - 1) * 8 / 40, rel=1e-9
    )
    # All flips gained: no more than all of them.
    assert make_pair(40, 0, 4).find_least_drop()[0] == -0.1


def test_holm_multiplies_by_the_tests_left_and_never_falls() -> None:
    # 0.01·4; 0.02·3; 0.03·2 is as high; 0.9 stays.
    assert adjust_holm(np.array([0.03, 0.01, 0.9, 0.02])) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert adjust_holm(np.array([0.5, 0.6])) == pytest.approx([1.0, 1.0])


def test_confusions_are_counted_by_label_and_first_class() -> None:
    counts = count_confusions(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 0]), 3)
    assert counts.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 0]]
