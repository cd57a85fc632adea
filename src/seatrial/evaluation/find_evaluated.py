"""What an evaluation finds done already, and whether it was done on the same image files, to the byte."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.data.contents import read_contents
from seatrial.data.images import LabelledImage
from seatrial.data.labels import count_names
from seatrial.data.loading.batches import fill_row
from seatrial.data.loading.decode_pool import fill_rows
from seatrial.data.preprocessing.input_pipeline import InputPipeline
from seatrial.errors import DataError, RefusedFile, SeatrialError
from seatrial.evaluation.ledger import Ledger
from seatrial.evaluation.stream import row_form
from seatrial.progress import Progress, Update
from seatrial.results.recount import check_counts
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What an evaluation is asked for now."""

    name: str
    images: Sequence[LabelledImage]
    pipeline: InputPipeline
    allow_partial: bool
    workers: int


def have_changed(
    asked: Asked, images: Sequence[LabelledImage], contents: NDArray[np.uint64], progress: Progress
) -> bool:
    """Whether files are others than those that were answered, though their sizes and times of change are the same.

    Args:
        images: that were answered.
        contents: (n,), of their files as they were then.

    Raises:
        DataError: one cannot be read any more, and none may be left out.
        RefusedFile: the bytes of one are not those that were stored.
    """
    try:
        now = read_contents(images, asked.workers, "evaluate", progress)
    except DataError as error:
        if not asked.allow_partial:
            raise
        progress(Update("evaluate", note=f"{asked.name}: {error.problem}: all are evaluated anew"))
        return True
    changed = [images[row].id for row in np.flatnonzero(now != contents).tolist()]
    if changed:
        shown = count_names("image files are others than those that were answered", changed)
        progress(Update("evaluate", note=f"{asked.name}: {shown}: all are evaluated anew"))
    return bool(changed)


def find_evaluated(
    asked: Asked, found: tuple[AccuracyRecord, Predictions], progress: Progress
) -> AccuracyRecord | None:
    """The record, if the files behind its predictions are the same, and those that it leaves out cannot be read yet.

    None too where it does not say what the files were.
    """
    record, stored = found
    image_of = {image.id: image for image in asked.images}
    if stored.contents is None or not image_of.keys() >= set(stored.ids):
        return None
    mended = _find_mended(asked, [image_of[image] for image in record.left_out if image in image_of])
    if mended is not None:
        told = f"'{mended.id}', which was left out, can be read by now"
        progress(Update("evaluate", note=f"{asked.name}: {told}: all are evaluated anew"))
        return None
    seen = [image_of[image] for image in stored.ids]
    return None if have_changed(asked, seen, stored.contents, progress) else record


def _find_mended(asked: Asked, broken: Sequence[LabelledImage]) -> LabelledImage | None:
    """The first that can be read."""
    shape, dtype = row_form(asked.images, asked.pipeline)
    row = np.empty((1, *shape), dtype)
    fill = partial(fill_row, pipeline=asked.pipeline)
    return next((image for image in broken if not fill_rows(row, (image,), fill).bad), None)


def drop_changed(asked: Asked, ledger: Ledger, progress: Progress) -> None:
    """Forget the answers of a ledger where some are to files that are others by now."""
    rows = np.flatnonzero(ledger.tally.answered)
    seen = [asked.images[row] for row in rows.tolist()]
    if seen and have_changed(asked, seen, ledger.tally.contents[rows], progress):
        ledger.clear()
