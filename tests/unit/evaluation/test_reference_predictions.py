import numpy as np
import pytest

from seatrial.evaluation.exact_drop import drop_interval
from seatrial.evaluation.reference import compare_first_classes
from seatrial.evaluation.statistics import Paired


def test_predictions_are_counted_image_by_image() -> None:
    labels = np.array([0, 1, 2, 3, 4, 5, 6, 7])
    reference = np.array([0, 1, 2, 3, 4, 9, 9, 9])  # 5 right
    answers = np.array([0, 1, 9, 8, 4, 5, 8, 9])  # loses 2 and 3, gains 5, changes one wrong answer
    found = compare_first_classes(reference, answers, labels, "torch")
    assert (found.reference, found.images, found.both_right, found.lost, found.gained) == ("torch", 8, 3, 2, 1)
    assert found.changed == 4
    assert found.drop_pp == pytest.approx(12.5)
    low, high = drop_interval(Paired(3, 2, 1, 2))
    assert (found.low_pp, found.high_pp) == pytest.approx((100 * low, 100 * high))
    assert found.p_value == 1.0
