"""Two sets of predictions class by class, with the chance of so many comparisons taken into account."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

LEVEL = 0.05
"""The chance that any class is called worse where none is."""


@dataclass(frozen=True, slots=True)
class ClassPair:
    """What became of the images of each class that has any, all (classes,), by number of the class."""

    classes: NDArray[np.int64]
    images: NDArray[np.int64]
    reference_right: NDArray[np.int64]
    lost: NDArray[np.int64]
    """Right in the reference, wrong here."""
    gained: NDArray[np.int64]

    @classmethod
    def of(cls, labels: NDArray[np.integer], reference: NDArray[np.integer], other: NDArray[np.integer]) -> "ClassPair":
        """Counted from labels and first classes, (n,) each."""
        classes, row = np.unique(labels, return_inverse=True)
        before, after = reference == labels, other == labels
        chosen = (np.ones(len(row), bool), before, before & ~after, ~before & after)
        counts = (np.bincount(row[rows], minlength=len(classes)) for rows in chosen)
        return cls(classes.astype(np.int64), *counts)

    @property
    def right(self) -> NDArray[np.int64]:
        """Images that are right here."""
        return self.reference_right - self.lost + self.gained

    def find_p(self) -> NDArray[np.float64]:
        """Exact one-sided p-value of McNemar's test in each class that no more is lost than gained."""
        tail = scipy.special.betainc(np.maximum(self.lost, 1), self.gained + 1, 0.5)
        return np.where(self.lost > 0, tail, 1.0)

    def find_least_drop(self, level: float = LEVEL) -> NDArray[np.float64]:
        """The lower bound of each class's drop, a fraction: all together hold in 1 - `level` of all sets.

        Of the flips that there are, the share that is lost has Clopper and Pearson's exact bound, at Bonferroni's share
        of the level.
        """
        flips, each = self.lost + self.gained, level / max(1, len(self.classes))
        share = scipy.special.betaincinv(np.maximum(self.lost, 1), self.gained + 1, each)
        return np.where(self.lost > 0, (2 * share - 1) * flips / self.images, -self.gained / self.images)


def adjust_holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values of so many tests, each as if it were the only one (Holm 1979): below 0.05 in all only 5 % err."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, stepped)
    return adjusted


def count_confusions(labels: NDArray[np.integer], first: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Images by label (rows) and first class (columns), (classes, classes)."""
    flat = labels.astype(np.int64) * classes + first
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)
