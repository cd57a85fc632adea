"""The first stage: do the labels number the classes as the network does?"""

import contextlib

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import are_labelled
from seatrial.diagnosis.sample import Sample
from seatrial.errors import SeatrialError
from seatrial.evaluation.label_order import find_order
from seatrial.evaluation.plausibility import is_far_below
from seatrial.recipes.class_names import read_names
from seatrial.store.diagnosis import LABELS, StageDiagnosis
from seatrial.store.predictions import Predictions
from seatrial.store.records import NO_LABELS

AGREEING = 0.98
"""Share of today's predictions that the stored ones must repeat, to count as further evidence."""


def judge_labels(sample: Sample, logits: NDArray[np.floating]) -> StageDiagnosis:
    """Compare the labels with torch's predictions for all images that have some.

    Another order of the classes shows only with several images of each: the run's stored predictions provide them.
    """
    if not are_labelled(sample.labelled):
        return StageDiagnosis(stage=LABELS, images=len(sample.images), verdict="not run", reason=NO_LABELS)
    predictions, labels = _gather(sample, logits.argmax(axis=1))
    right = float((predictions == labels).mean())
    order = find_order(predictions, labels, sample.recipe.network.classes, read_names(sample.recipe) or ())
    reasons = [] if order is None else [order.text, *order.examples[:2]]
    last = sample.recipe.network.classes - 1
    if (beyond := int((labels > last).sum())) > 0:
        reasons.insert(0, f"{beyond} labels are not one of the network's classes 0..{last}")
    reason = "; ".join(reasons)
    return StageDiagnosis(
        stage=LABELS,
        images=len(labels),
        top1=right,
        verdict="leaves" if reason else "within",
        reason=reason,
        advice="`seatrial data check` looks through the whole set" if reason else "",
    )


def doubt_accuracy(sample: Sample, labels: StageDiagnosis) -> str | None:
    """Whether torch itself lies far below the accuracy that the card names: then no stage here lost it."""
    published = sample.recipe.reference
    if published is None or labels.top1 is None or labels.verdict == "leaves":
        return None
    if not is_far_below(round(labels.top1 * labels.images), labels.images, published.top1):
        return None
    return (
        f"torch itself is right for {labels.top1:.1%} of {labels.images} images, and the card names "
        f"{published.top1:.1%}: the rest was lost in the weights, the images or the card's preprocessing"
    )


def _gather(sample: Sample, predictions: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Predictions and labels of the sample, or of every image of the run's torch, if it still predicts the same."""
    with contextlib.suppress(SeatrialError):
        stored = Predictions.load(sample.run / "evaluation" / "torch.parquet")
        known = dict(zip(stored.ids, stored.classes[:, 0].tolist(), strict=True))
        repeated = [known.get(name) == first for name, first in zip(sample.names, predictions.tolist(), strict=True)]
        labelled = [(known[image.id], image.label) for image in sample.labelled if image.id in known]
        if np.mean(repeated) >= AGREEING:
            return np.array([first for first, _ in labelled]), np.array([label for _, label in labelled])
    return predictions, sample.truth
