"""Metrics of a classifier on a labelled set: each a pure function of arrays, listed by name in `METRICS`.

Records, gates, tables and `compare` take every metric from that table. To add one, add its row, and its worked example
in `tests/unit/metrics/test_classification.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seatrial.metrics.intervals import wilson_interval
from seatrial.metrics.topk import K, TopK


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric's value on a set, a fraction 0..1."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    value: float
    low: float | None = None
    """Two-sided 95 % interval; None where the metric has none."""
    high: float | None = None


Measure = Callable[[NDArray[np.integer], NDArray[np.integer], NDArray[np.floating]], Estimate | None]
"""From labels (n,), classes (n, k), best first, and their scores (n, k); None where it is not defined for them."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of `METRICS`."""

    title: str
    """What people call it."""
    measure: Measure
    higher_is_better: bool = True


def measure_all(
    labels: NDArray[np.integer], classes: NDArray[np.integer], scores: NDArray[np.floating]
) -> dict[str, Estimate]:
    """Every metric that is defined for these predictions, by name."""
    estimates = {name: metric.measure(labels, classes, scores) for name, metric in METRICS.items()}
    return {name: estimate for name, estimate in estimates.items() if estimate is not None}


def estimate_top_k(hits: int, count: int) -> Estimate:
    """The share of hits with Wilson's interval."""
    return Estimate(hits / count, *wilson_interval(hits, count))


def name_top_k(k: int) -> str:
    """The name of top-k accuracy in `METRICS`."""
    return f"top{k}"


def _measure_top_k(
    k: int, labels: NDArray[np.integer], classes: NDArray[np.integer], scores: NDArray[np.floating]
) -> Estimate | None:
    if k > classes.shape[1]:
        return None
    counts = TopK.of(classes, labels)
    return estimate_top_k(counts.hits[k - 1], counts.count)


@dataclass(frozen=True, slots=True)
class _ClassCounts:
    """Images by class, (classes,), of the classes that have any; a class without images has no recall."""

    labelled: NDArray[np.int64]
    predicted: NDArray[np.int64]
    right: NDArray[np.int64]

    @classmethod
    def of(cls, labels: NDArray[np.integer], first: NDArray[np.integer]) -> "_ClassCounts":
        present, row, labelled = np.unique(labels, return_inverse=True, return_counts=True)
        nearest = np.minimum(np.searchsorted(present, first), len(present) - 1)
        rows = nearest[present[nearest] == first]
        predicted, right = (np.bincount(part, minlength=len(present)) for part in (rows, row[first == labels]))
        return cls(labelled, predicted, right)

    def recall(self) -> NDArray[np.float64]:
        """The share of a class's images that are predicted as it."""
        return self.right / self.labelled

    def precision(self) -> NDArray[np.float64]:
        """The share of the images predicted as a class that are of it; 0 where none is."""
        return self.right / np.maximum(1, self.predicted)

    def f1(self) -> NDArray[np.float64]:
        """The harmonic mean of both."""
        return 2 * self.right / (self.labelled + self.predicted)


def _measure_macro(
    by_class: Callable[[_ClassCounts], NDArray[np.float64]],
    labels: NDArray[np.integer],
    classes: NDArray[np.integer],
    scores: NDArray[np.floating],
) -> Estimate:
    """The mean over classes; without an interval, as none covers as it should where classes have few images."""
    return Estimate(float(by_class(_ClassCounts.of(labels, classes[:, 0])).mean()))


METRICS: Mapping[str, Metric] = {
    **{name_top_k(k): Metric(f"top-{k}", partial(_measure_top_k, k)) for k in range(1, K + 1)},
    "macro_recall": Metric("macro recall", partial(_measure_macro, _ClassCounts.recall)),
    "macro_precision": Metric("macro precision", partial(_measure_macro, _ClassCounts.precision)),
    "macro_f1": Metric("macro F1", partial(_measure_macro, _ClassCounts.f1)),
}
BEYOND_TOP_K = tuple(name for name in METRICS if not name.startswith("top"))
"""Names of the metrics beside top-1 to top-5."""
