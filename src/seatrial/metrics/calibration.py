"""Confidences of a classifier, and how far they are from how often it is right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""As in Guo et al. 2017, On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599."""
SUM_TOLERANCE = 0.02
"""How far from 1 the sum of an image's probabilities may lie where an engine rounds them (bf16, int8)."""


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The images whose confidence lies in one part of 0..1."""

    images: int
    confidence: float | None
    """Their mean confidence; None without images."""
    accuracy: float | None
    """The share of them whose first class is right; None without images."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well confidences say how often first classes are right, fractions 0..1."""

    error: float
    """Expected calibration error: the mean over images of |accuracy - confidence| of their bin."""
    confidence: float
    """Mean confidence."""
    accuracy: float
    bins: tuple[CalibrationBin, ...]
    """Of equal width, the least confident first."""


def log_sum_exp(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """The log of the softmax's denominator of each row (n, classes), computed in float64.

    The confidence of class c is exp(score of c - this). The largest score is taken out first, so nothing overflows.
    """
    wide = scores.astype(np.float64)
    best = wide.max(axis=1)
    wide -= best[:, None]
    return best + np.log(np.exp(wide, out=wide).sum(axis=1))  # type: ignore[no-any-return]


def are_distributions(scores: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(n,), whether each row (n, classes) is probabilities, as of a softmax in the graph: none below 0, and a sum of 1.

    Logits of one image may be so by chance, those of all images of a set are not.
    """
    sums = scores.sum(axis=1, dtype=np.float64)
    return (scores.min(axis=1) >= 0) & (np.abs(sums - 1) <= SUM_TOLERANCE)  # type: ignore[no-any-return]


def measure_calibration(confidences: NDArray[np.floating], right: NDArray[np.bool_], bins: int = BINS) -> Calibration:
    """Expected calibration error over bins of equal width, (i / bins, (i + 1) / bins], as in Guo et al. 2017.

    Args:
        confidences: (n,) of the first classes, 0..1; n is at least 1.
        right: (n,), whether they are right.
    """
    wide = confidences.astype(np.float64)
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, wide, side="left") - 1, 0, bins - 1)
    images = np.bincount(place, minlength=bins)
    confident, hits = (np.bincount(place, weights=values, minlength=bins) for values in (wide, right))
    found = tuple(
        CalibrationBin(count, total / count if count else None, hit / count if count else None)
        for count, total, hit in zip(images.tolist(), confident.tolist(), hits.tolist(), strict=True)
    )
    error = float(np.abs(hits - confident).sum() / len(wide))
    return Calibration(error, float(wide.mean()), float(right.mean()), found)


def calibration_drift(ours: Calibration, reference: Calibration) -> float:
    """How much larger the calibration error became than the reference's on the same images; below 0 it shrank."""
    return ours.error - reference.error
