"""Two sets of predictions compared, image by image and class by class; no device needed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seatrial.errors import DataError
from seatrial.evaluation.agreement import measure_agreement
from seatrial.evaluation.reference import compare_first_classes
from seatrial.metrics.classification import Estimate, measure_all
from seatrial.metrics.topk import TopK
from seatrial.report.numbers import write_points
from seatrial.store.flips import FlipKind, sort_flips
from seatrial.store.predictions import Predictions, check_same_images
from seatrial.store.records import Agreement, Comparison


@dataclass(frozen=True, slots=True)
class ChangedImage:
    """An image whose first class changed."""

    id: str
    label: int | None
    reference: int
    """The first class in the reference."""
    predicted: int
    kind: FlipKind


@dataclass(frozen=True, slots=True)
class ClassChange:
    """What became of the images of one class."""

    label: int
    images: int
    reference_right: int
    right: int
    lost: int
    gained: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many predictions are right."""

    name: str
    images: int
    hits: tuple[int, ...]
    """Images whose label is among the first 1, 2, … 5 classes; none without labels."""
    metrics: Mapping[str, Estimate]
    """By name in `METRICS`."""


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """The image whose best score changed most."""

    id: str
    reference: float
    score: float
    images: int
    """Those whose best score changed at all."""


@dataclass(frozen=True, slots=True)
class Differences:
    """How predictions differ from a reference's on the same images."""

    versus: Comparison | None
    """None without labels."""
    agreement: Agreement
    flips: tuple[ChangedImage, ...]
    """Lost ones first, then gained, then wrong in both; each in the order of the ids."""
    classes: tuple[ClassChange, ...]
    """Classes that lost or gained an image, those that lost most first."""
    scores: ScoreChange | None
    """None when all best scores are the same, to the last bit."""


def relabel(predictions: Predictions, labels: Mapping[str, int], source: str) -> Predictions:
    """The same predictions with the labels of `source`, which may label more images.

    Raises:
        DataError: an image has no label there.
    """
    ids = predictions.ids
    missing = [name for name in ids if name not in labels]
    if missing:
        raise DataError(
            f"{source} has no label for {len(missing)} of {len(ids)} predicted images, first '{missing[0]}'",
            "give the label file of these images",
        )
    return replace(predictions, labels=np.array([labels[name] for name in ids], dtype=np.int32))


def count_right(predictions: Predictions, name: str) -> Accuracy:
    """Every metric against the predictions' labels; none without these."""
    labels, images = predictions.labels, len(predictions.ids)
    if labels is None:
        return Accuracy(name, images, (), {})
    metrics = measure_all(labels, predictions.classes, predictions.scores)
    return Accuracy(name, images, TopK.of(predictions.classes, labels).hits, metrics)


def compare_predictions(reference: Predictions, other: Predictions, names: tuple[str, str]) -> Differences:
    """Compare predictions with a reference's; `names` are those of the two, the reference first.

    Raises:
        NotComparable: the images or the labels differ.
    """
    check_same_images(reference, other, names)
    labels = other.labels if reference.labels is None else reference.labels
    before, after = reference.classes[:, 0], other.classes[:, 0]
    return Differences(
        None if labels is None else compare_first_classes(before, after, labels, names[0]),
        measure_agreement(reference, other, names[0]),
        _list_flips(reference, other, labels),
        () if labels is None else _list_classes(before == labels, after == labels, labels),
        _find_score_change(reference, other),
    )


def _list_flips(
    reference: Predictions, other: Predictions, labels: NDArray[np.int32] | None
) -> tuple[ChangedImage, ...]:
    before, after = reference.classes[:, 0].tolist(), other.classes[:, 0].tolist()
    known = [None] * len(before) if labels is None else labels.tolist()
    return tuple(
        ChangedImage(reference.ids[row], known[row], before[row], after[row], kind)
        for kind, rows in sort_flips(reference.classes[:, 0], other.classes[:, 0], labels).items()
        for row in rows.tolist()
    )


def _list_classes(
    before: NDArray[np.bool_], after: NDArray[np.bool_], labels: NDArray[np.int32]
) -> tuple[ClassChange, ...]:
    """What became of each class, by where (n,) the reference was right, and the other is."""
    known, label = np.unique(labels, return_inverse=True)
    images, *counts = (
        np.bincount(label, weights=chosen, minlength=len(known)).astype(int).tolist()
        for chosen in (np.ones(len(label)), before, after, before & ~after, ~before & after)
    )
    changes = (ClassChange(*row) for row in zip(known.tolist(), images, *counts, strict=True))
    return tuple(sorted((c for c in changes if c.lost or c.gained), key=lambda c: (c.gained - c.lost, c.label)))


def _find_score_change(reference: Predictions, other: Predictions) -> ScoreChange | None:
    before, after = reference.scores[:, 0].astype(np.float64), other.scores[:, 0].astype(np.float64)
    distance = np.abs(before - after)
    row = int(distance.argmax())
    if not distance[row]:
        return None
    return ScoreChange(reference.ids[row], float(before[row]), float(after[row]), int((distance > 0).sum()))


def describe_agreement(agreement: Agreement) -> str:
    """The reference and how far an engine agrees with it, in one line."""
    a = agreement
    line = (
        f"{a.reference}: {a.images - a.changed} of {a.images} first classes agree, {a.share:.2%} "
        f"({a.low:.2%} to {a.high:.2%})"
    )
    if a.weighted_flips is not None:
        line += f"; flips weighted by margin {a.weighted_flips:.2%}"
    if a.confidence_drift is not None:
        line += f"; confidence moved by {write_points(100 * a.confidence_drift)} points on average"
    return line
