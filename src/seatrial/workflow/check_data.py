"""`seatrial data check`: images and labels looked through before they are used."""

from pathlib import Path

import numpy as np

from seatrial.data.check import SHOWN, Finding, check_data
from seatrial.data.labels import read_labels
from seatrial.errors import NotComparable
from seatrial.machine.cpu import count_cores
from seatrial.models.sources import resolve_recipe
from seatrial.progress import Progress, silent
from seatrial.recipes.class_names import read_names


def check_images(
    recipe: str,
    images: Path,
    labels: Path | None = None,
    expected: int | None = None,
    predictions: Path | None = None,
    progress: Progress = silent,
) -> tuple[Finding, ...]:
    """Check a labelled set, errors first; labels are compared with predictions only where nothing else is wrong.

    Args:
        recipe: a card's name or path: its network says how many classes there are.
        labels: None: `images` holds class folders.
        expected: how many images there must be.
        predictions: an engine's for these images (Parquet), to check the order of the labels with.

    Raises:
        DataError: there is no such folder, or no label file that is text.
        NotComparable: the predictions are of other images.
    """
    card = resolve_recipe(recipe)
    findings = check_data(images, labels, card, expected, count_cores(), progress)
    if predictions is None or any(finding.level == "error" for finding in findings):
        return findings
    from seatrial.evaluation.label_order import find_order
    from seatrial.store.predictions import Predictions  # Brings pyarrow, which no other verb here needs.

    stored = Predictions.load(predictions)
    label_of = {image.id: image.label for image in read_labels(images, labels, card)}
    if not label_of.keys() >= set(stored.ids):
        raise NotComparable(f"{predictions} and {images} are of other images", "evaluate the engine on these")
    truth = np.array([label_of[image] for image in stored.ids])
    order = find_order(stored.classes[:, 0], truth, card.network.classes, read_names(card) or ())
    return findings if order is None else (Finding("error", order.text, order.examples[:SHOWN]), *findings)
