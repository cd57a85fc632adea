from collections.abc import Mapping

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from seatrial.metrics.classification import BEYOND_TOP_K, METRICS, Estimate, measure_all
from seatrial.metrics.intervals import wilson_interval

LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 7])
CLASSES = np.array(
    [
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4],
        [1, 0, 2, 3, 4],
        [9, 1, 0, 3, 4],
        [1, 0, 2, 3, 4],
        [0, 2, 3, 1, 4],
        [2, 1, 0, 3, 4],
        [2, 1, 0, 3, 7],
    ]
)
"""Right: 2 of the 4 images of class 0, 1 of 2, 1 of 1 and 0 of 1; predicted as these classes: 3, 2, 2 and 0."""
SCORES = np.tile(np.arange(5, 0, -1, dtype=np.float32), (8, 1))
EXPECTED: Mapping[str, float] = {
    "top1": 4 / 8,
    "top2": 5 / 8,
    "top3": 6 / 8,
    "top4": 7 / 8,
    "top5": 8 / 8,
    "macro_recall": (2 / 4 + 1 / 2 + 1 + 0) / 4,
    "macro_precision": (2 / 3 + 1 / 2 + 1 / 2 + 0) / 4,
    "macro_f1": (4 / 7 + 2 / 4 + 2 / 3 + 0) / 4,
}
"""Worked by hand, for every metric that there is."""


def test_every_metric_has_a_worked_example() -> None:
    assert EXPECTED.keys() == METRICS.keys()


def test_every_metric_is_its_worked_example() -> None:
    found = measure_all(LABELS, CLASSES, SCORES)
    assert {name: estimate.value for name, estimate in found.items()} == pytest.approx(EXPECTED)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_a_fraction_within_its_interval(name: str) -> None:
    estimate = METRICS[name].measure(LABELS, CLASSES, SCORES)
    assert estimate is not None and METRICS[name].title
    low, high = 0.0 if estimate.low is None else estimate.low, 1.0 if estimate.high is None else estimate.high
    assert 0 <= low <= estimate.value <= high <= 1
    assert (estimate.low is None) == (estimate.high is None)


def test_top_k_has_wilsons_interval() -> None:
    assert measure_all(LABELS, CLASSES, SCORES)["top3"] == Estimate(0.75, *wilson_interval(6, 8))


def test_there_is_no_top_k_of_fewer_classes() -> None:
    assert measure_all(LABELS, CLASSES[:, :2], SCORES[:, :2]).keys() == {"top1", "top2", *BEYOND_TOP_K}


def test_a_class_without_images_counts_in_no_mean() -> None:
    # One class, all right but one image that is predicted as a class of which there are no images.
    found = measure_all(np.zeros(4, np.int32), np.array([[0], [0], [0], [2**31 - 1]], np.int32), np.ones((4, 1)))
    assert [found[name].value for name in BEYOND_TOP_K] == pytest.approx([3 / 4, 1, 6 / 7])


def test_macro_metrics_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    # Of ten classes there are no images, and of some images the first class is one of them.
    labels = rng.integers(0, 30, 500)
    first = np.where(rng.uniform(size=500) < 0.5, labels, rng.integers(0, 40, 500))
    found = measure_all(labels, first[:, None], np.ones((500, 1)))
    theirs = precision_recall_fscore_support(labels, first, labels=np.arange(30), average="macro", zero_division=0)
    for name, value in zip(("macro_precision", "macro_recall", "macro_f1"), theirs, strict=False):
        assert found[name].value == pytest.approx(value, abs=1e-12)
