"""What an evaluation finds done already, and whether it was done on the same image files, to the byte."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.data.contents import read_contents
from seatrial.data.labels import LabelledImage, count_names
from seatrial.errors import RefusedFile, SeatrialError
from seatrial.evaluation.ledger import Ledger
from seatrial.progress import Progress, Update
from seatrial.report.predictions import check_counts
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord


def load_evaluated(
    output: Path, name: str, key: str, allow_partial: bool, progress: Progress
) -> tuple[AccuracyRecord, Predictions] | None:
    """The record of an evaluation with this key and its predictions, if these, counted again, give what it says."""
    try:
        record = AccuracyRecord.load(output / f"{name}.json")
        fits = record.key == key and (allow_partial or not record.left_out)
        if fits and (output / record.predictions).is_file():
            check_counts(output, record)
            return record, Predictions.load(output / record.predictions)
    except RefusedFile as error:
        progress(Update("evaluate", note=f"{error.problem}: evaluated again"))
    except SeatrialError:  # There is none, or none of this version.
        pass
    return None


def have_changed(
    images: Sequence[LabelledImage], contents: NDArray[np.uint64], workers: int, name: str, progress: Progress
) -> bool:
    """Whether files are others than those that were answered, though their sizes and times of change are the same.

    Args:
        contents: (n,), of the files that were answered.
        name: of what answered them; a note says how many changed.

    Raises:
        DataError: one cannot be read.
        RefusedFile: the bytes of one are not those that were stored.
    """
    now = read_contents(images, workers, "evaluate", progress)
    changed = [images[row].id for row in np.flatnonzero(now != contents).tolist()]
    if changed:
        shown = count_names("image files are others than those that were answered", changed)
        progress(Update("evaluate", note=f"{name}: {shown}: all are evaluated anew"))
    return bool(changed)


def find_evaluated(
    found: tuple[AccuracyRecord, Predictions], images: Sequence[LabelledImage], workers: int, progress: Progress
) -> AccuracyRecord | None:
    """The record, if the files behind its predictions are the same; None too where it does not say what they were."""
    record, stored = found
    image_of = {image.id: image for image in images}
    if stored.contents is None or not image_of.keys() >= set(stored.ids):
        return None
    seen = [image_of[image] for image in stored.ids]
    return None if have_changed(seen, stored.contents, workers, record.name, progress) else record


def drop_changed(ledger: Ledger, images: Sequence[LabelledImage], workers: int, name: str, progress: Progress) -> None:
    """Empty a ledger that holds answers to files that are others by now."""
    rows = np.flatnonzero(ledger.tally.answered)
    seen = [images[row] for row in rows.tolist()]
    if seen and have_changed(seen, ledger.tally.contents[rows], workers, name, progress):
        ledger.clear()
