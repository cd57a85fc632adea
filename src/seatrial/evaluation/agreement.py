"""How far two engines agree on the same images: what can be said of a port without any label.

Whether the reference is right is not known then. What is known is what the port changed:

- the share of images with the same first class, with exact bounds (Clopper and Pearson 1934);
- flips weighted by the reference's margin. With m_i the best less the second best score that the reference gives image
  i, it is the sum of m_i over the images whose first class differs, divided by the sum over all images. Flips among
  near ties weigh little; 0 is none, and the share of changed images is what flips that ignore the margin would give;
- the change of the confidence in the first class, on average, with its sign and without. A confidence is the softmax
  over all classes where both predictions store what it divides by, else over the five classes that they store.

No drop of top-1 is larger than the share of changed images, as only these can be lost.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seatrial.metrics.intervals import exact_bounds
from seatrial.store.predictions import Predictions
from seatrial.store.records import Agreement

Among = Literal["all classes", "stored classes"]


def measure_agreement(reference: Predictions, ours: Predictions, name: str) -> Agreement:
    """Compare predictions with a reference's of the same images in the same order; `name` is the reference's."""
    flipped = reference.classes[:, 0] != ours.classes[:, 0]
    changed, images = int(flipped.sum()), len(flipped)
    low, high = exact_bounds(images - changed, images)
    moved, among = _compare_confidences(reference, ours)
    return Agreement(
        reference=name,
        images=images,
        changed=changed,
        share=1 - changed / images,
        low=low,
        high=high,
        weighted_flips=weigh_flips(reference.scores, flipped),
        confidence_drift=None if moved is None else float(moved.mean()),
        confidence_change=None if moved is None else float(np.abs(moved).mean()),
        confidence_among=among,
    )


def weigh_flips(scores: NDArray[np.floating], flipped: NDArray[np.bool_]) -> float | None:
    """The share of the margins of `scores` (n, k), best first, that lies on the `flipped` (n,) images.

    Returns:
        None where there is one class only, or no image has a margin.
    """
    if scores.shape[1] < 2:
        return None
    margins = scores[:, 0].astype(np.float64) - scores[:, 1]
    whole = float(margins.sum())
    return float(margins[flipped].sum()) / whole if whole else None


def _compare_confidences(reference: Predictions, ours: Predictions) -> tuple[NDArray[np.float64] | None, Among]:
    """By how much the confidence in the first class (n,) is higher than the reference's, and among which classes.

    Both among the same: those that are stored, where one of the two does not say more; None where that is one only.
    """
    after, before = ours.confidences(), reference.confidences()
    if after is not None and before is not None:
        return after[:, 0] - before[:, 0], "all classes"
    if min(reference.scores.shape[1], ours.scores.shape[1]) < 2:
        return None, "stored classes"
    return _share_stored(ours)[:, 0] - _share_stored(reference)[:, 0], "stored classes"


def _share_stored(predictions: Predictions) -> NDArray[np.float64]:
    """The softmax (n, k) over the stored classes alone."""
    scores = predictions.scores.astype(np.float64)
    shares = np.exp(scores - scores[:, :1])
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
