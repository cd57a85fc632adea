"""`seatrial data check`: images and labels looked through before they are used."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seatrial.data.check import SHOWN, CheckSpec, Finding, check_data
from seatrial.data.labels import read_labels
from seatrial.errors import NotComparable
from seatrial.machine.cpu import count_cores
from seatrial.progress import Progress, silent
from seatrial.recipes import load_recipe


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """Which labelled set to check, and against what."""

    recipe: str
    """A card's name or path: its network says how many classes there are."""
    images: Path
    labels: Path | None
    """None: `images` holds class folders."""
    expected: int | None = None
    """How many images there must be."""
    predictions: Path | None = None
    """An engine's predictions for these images (Parquet), to check the order of the labels with."""


def check_images(request: CheckRequest, progress: Progress = silent) -> tuple[Finding, ...]:
    """Check a labelled set, errors first; labels are compared with predictions only where nothing else is wrong.

    Raises:
        DataError: there is no such folder, or no label file that is text.
        NotComparable: the predictions are of other images.
    """
    classes = load_recipe(request.recipe).network.classes
    findings = check_data(CheckSpec(request.images, request.labels, classes, request.expected, count_cores()), progress)
    if request.predictions is None or any(finding.level == "error" for finding in findings):
        return findings
    from seatrial.evaluation.label_order import find_order
    from seatrial.store.predictions import Predictions  # Brings pyarrow, which no other verb here needs.

    predictions = Predictions.load(request.predictions)
    label_of = {image.id: image.label for image in read_labels(request.images, request.labels, classes)}
    if not label_of.keys() >= set(predictions.ids):
        raise NotComparable(
            f"{request.predictions} and {request.images} are of other images", "evaluate the engine on these"
        )
    labels = np.array([label_of[image] for image in predictions.ids])
    order = find_order(predictions.classes[:, 0], labels, classes)
    return findings if order is None else (Finding("error", order.text, order.examples[:SHOWN]), *findings)
