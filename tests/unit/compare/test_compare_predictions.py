import numpy as np
import pytest
from scipy.stats import binomtest

from seatrial.compare.predictions import (
    ChangedImage,
    ClassChange,
    ScoreChange,
    compare_predictions,
    count_right,
    relabel,
)
from seatrial.errors import DataError, NotComparable
from seatrial.store.predictions import Predictions

NAMES = ("torch", "int8")


def answer(labels: list[int], firsts: list[int], scores: list[float] | None = None) -> Predictions:
    """Predictions for images a, b, …: these first classes, second always the next class."""
    first = np.array(firsts, dtype=np.int32)
    best = np.array(scores or [2.0] * len(labels), dtype=np.float32)
    return Predictions(
        tuple(chr(ord("a") + row) for row in range(len(labels))),
        np.array(labels, dtype=np.int32),
        np.stack([first, first + 1], axis=1),
        np.stack([best, best - 1], axis=1),
    )


LABELS = [3, 3, 3, 0, 0, 7, 7, 7]
REFERENCE = answer(LABELS, [3, 3, 1, 0, 1, 7, 7, 2])
OTHER = answer(LABELS, [1, 3, 3, 9, 1, 8, 6, 4])


def test_every_image_that_flipped_is_listed() -> None:
    found = compare_predictions(REFERENCE, OTHER, NAMES)
    assert found.flips == (
        ChangedImage("a", 3, 3, 1, "lost"),
        ChangedImage("d", 0, 0, 9, "lost"),
        ChangedImage("f", 7, 7, 8, "lost"),
        ChangedImage("g", 7, 7, 6, "lost"),
        ChangedImage("c", 3, 1, 3, "gained"),
        ChangedImage("h", 7, 2, 4, "wrong in both"),
    )
    v = found.versus
    assert (v.reference, v.images, v.both_right, v.lost, v.gained, v.changed) == ("torch", 8, 1, 4, 1, 6)
    assert v.drop_pp == pytest.approx(37.5)
    assert v.p_value == pytest.approx(binomtest(1, 5).pvalue)


def test_classes_are_listed_by_what_they_lost() -> None:
    assert compare_predictions(REFERENCE, OTHER, NAMES).classes == (
        ClassChange(7, images=3, reference_right=2, right=0, lost=2, gained=0),
        ClassChange(0, images=2, reference_right=1, right=0, lost=1, gained=0),
        ClassChange(3, images=3, reference_right=2, right=2, lost=1, gained=1),
    )


def test_a_class_that_kept_its_predictions_is_not_listed() -> None:
    found = compare_predictions(answer([1, 2], [1, 2]), answer([1, 2], [1, 5]), NAMES)
    assert [change.label for change in found.classes] == [2]


def test_predictions_may_tie_while_scores_differ() -> None:
    found = compare_predictions(answer([1, 2, 3], [1, 2, 3]), answer([1, 2, 3], [1, 2, 3], [2.0, 1.5, 2.25]), NAMES)
    assert (found.flips, found.classes) == ((), ())
    assert found.scores == ScoreChange("b", 2.0, 1.5, 2)
    assert compare_predictions(REFERENCE, REFERENCE, NAMES).scores is None


def test_other_images_or_labels_are_refused() -> None:
    with pytest.raises(NotComparable, match="2 only in the first"):
        compare_predictions(REFERENCE, answer(LABELS[:6], [3] * 6), NAMES)
    with pytest.raises(NotComparable, match="torch and int8 were evaluated with different labels"):
        compare_predictions(REFERENCE, answer([4, *LABELS[1:]], [3] * 8), NAMES)


def test_hits_are_counted_with_wilsons_intervals() -> None:
    found = count_right(OTHER, "int8")
    assert (found.name, found.images, found.hits) == ("int8", 8, (2, 3))
    assert [found.metrics[name].value for name in ("top1", "top2")] == [0.25, 0.375]
    expected = binomtest(3, 8).proportion_ci(0.95, method="wilson")
    assert (found.metrics["top2"].low, found.metrics["top2"].high) == pytest.approx((expected.low, expected.high))


def test_the_same_predictions_are_judged_by_other_labels() -> None:
    labels = {name: 9 for name in "abcdefghijk"}
    found = relabel(OTHER, labels, "real.txt")
    assert found.labels.dtype == np.int32 and found.labels.tolist() == [9] * 8
    assert count_right(found, "int8").hits == (1, 2)  # d is 9, f is 8 with 9 next.
    assert OTHER.labels.tolist() == LABELS


def test_an_image_without_a_label_is_refused() -> None:
    with pytest.raises(DataError, match=r"real\.txt has no label for 6 of 8 predicted images, first 'b'"):
        relabel(OTHER, {"a": 1, "h": 2}, "real.txt")
