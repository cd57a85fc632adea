"""`seatrial preprocess`, `score` and `data check`: the guides' steps, on the guides' files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seatrial.data.bins.info_file import write_info
from seatrial.data.bins.write import BinForm, BinReport, PixelFormat, write_bins
from seatrial.data.check import SHOWN, CheckSpec, Finding, check_data
from seatrial.data.labels import list_images, read_labels
from seatrial.errors import DataError, NotComparable
from seatrial.evaluation.score import Score, score_folder, write_result
from seatrial.machine.cpu import count_cores
from seatrial.progress import Progress, silent
from seatrial.recipes import load_recipe


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """Which images to write as bins, and how."""

    recipe: str
    """A card's name or path."""
    images: Path
    output: Path
    mode: str | None = None
    """One of the card's; None is its main preprocessing."""
    workers: int | None = None
    """Processes; None takes one for each core."""
    pixels: PixelFormat = "rgb"
    """How the pixels of a uint8 mode are stored."""
    info: Path | None = None
    """Where an `.info` file goes that lists the bins."""


def preprocess_images(spec: PreprocessSpec, progress: Progress = silent) -> BinReport:
    """Write a `.bin` for each image of a folder, and an `.info` file that lists them if one is asked for.

    Raises:
        UsageError: the card has no such mode, or the output folder holds something else.
        DataError: a file is no image, or the output folder is for another preprocessing.
    """
    form = BinForm(load_recipe(spec.recipe).find_mode(spec.mode), spec.pixels)
    images = list_images(spec.images)
    if not images:
        raise DataError(f"image folder {spec.images} holds no images")
    report = write_bins(form, images, spec.output, spec.workers or count_cores(), progress)
    if spec.info is not None:
        write_info("bin", spec.output, spec.info, report.manifest.width, report.manifest.height)
    return report


def score_predictions(
    predictions: Path, labels: Path, output: Path, allow_partial: bool = False, progress: Progress = silent
) -> Score:
    """Score one-file-per-image predictions and write the guides' `result.json` to `output`.

    Raises:
        DataError: predictions are missing, belong to no label or cannot be read.
        ParityError: a prediction is not a number, or all are the same.
    """
    score = score_folder(predictions, labels, allow_partial, progress)
    write_result(score, output)
    return score


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
