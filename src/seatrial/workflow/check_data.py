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
    """What an engine answered to these images (Parquet): the order of the labels is judged by it."""


def check_images(asked: CheckRequest, progress: Progress = silent) -> tuple[Finding, ...]:
    """Check a labelled set, errors first; labels are held against predictions only where nothing else is wrong.

    Raises:
        DataError: there is no such folder, or no label file that is text.
        NotComparable: the predictions are of other images.
    """
    classes = load_recipe(asked.recipe).network.classes
    findings = check_data(CheckSpec(asked.images, asked.labels, classes, asked.expected, count_cores()), progress)
    if asked.predictions is None or any(finding.level == "error" for finding in findings):
        return findings
    from seatrial.evaluation.label_order import find_order
    from seatrial.store.predictions import Predictions  # Brings pyarrow, which no other verb here needs.

    told = Predictions.load(asked.predictions)
    label_of = {image.id: image.label for image in read_labels(asked.images, asked.labels, classes)}
    if not label_of.keys() >= set(told.ids):
        raise NotComparable(
            f"{asked.predictions} and {asked.images} are of other images", "evaluate the engine on these"
        )
    labels = np.array([label_of[image] for image in told.ids])
    found = find_order(told.classes[:, 0], labels, classes)
    return findings if found is None else (Finding("error", found.text, found.examples[:SHOWN]), *findings)
