"""What an evaluation finds done already, and whether it was done on the same image files, to the byte."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.data.contents import read_contents
from seatrial.data.images import LabelledImage
from seatrial.data.names import count_names
from seatrial.errors import DataError
from seatrial.evaluation.executor import Evaluation
from seatrial.evaluation.ledger import PredictionLedger
from seatrial.evaluation.stream import read_rows
from seatrial.metrics.classification import measure_all
from seatrial.progress import Progress, Update
from seatrial.results.recount import check_counts
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord
from seatrial.store.stage_cache import CachedStage

EVALUATE = CachedStage("evaluate", "evaluate/3", "evaluated")


def load_evaluated(
    output: Path, name: str, key: str, allow_partial: bool, progress: Progress
) -> tuple[AccuracyRecord, Predictions] | None:
    """The record of an evaluation with this key, and its predictions, if counting these again gives its figures."""

    def check(record: AccuracyRecord) -> tuple[AccuracyRecord, Predictions] | None:
        stored = check_counts(output, record) if allow_partial or not record.left_out else None
        if stored is None:
            return None
        # A record of an older version lacks metrics.
        if stored.labels is not None:
            metrics = measure_all(stored.labels, stored.classes, stored.scores) | record.metrics
            record = record.model_copy(update={"metrics": metrics})
        return record, stored

    return EVALUATE.find(key, lambda: AccuracyRecord.load(output / f"{name}.json"), check, progress)


def have_changed(
    evaluation: Evaluation, images: Sequence[LabelledImage], contents: NDArray[np.uint64], progress: Progress
) -> bool:
    """Whether image files have other bytes than those that were run, with the same sizes and times of change.

    Args:
        images: that were run.
        contents: (n,), of their files as they were then.

    Raises:
        DataError: one cannot be read any more, and none may be left out.
        RefusedFile: the bytes of one are not those that were stored.
    """
    try:
        now = read_contents(images, evaluation.plan.decode_workers, "evaluate", progress)
    except DataError as error:
        if not evaluation.spec.allow_partial:
            raise
        progress(Update("evaluate", note=f"{evaluation.name}: {error.problem}: all are evaluated again"))
        return True
    changed = [images[row].id for row in np.flatnonzero(now != contents).tolist()]
    if changed:
        shown = count_names("image files have changed since they were run", changed)
        progress(Update("evaluate", note=f"{evaluation.name}: {shown}: all are evaluated again"))
    return bool(changed)


def is_current(evaluation: Evaluation, record: AccuracyRecord, stored: Predictions, progress: Progress) -> bool:
    """Whether the files behind a record's predictions are the same, and those that it leaves out still unreadable.

    False too where the record does not identify the files.
    """
    image_of = {image.id: image for image in evaluation.spec.images}
    if stored.contents is None or not image_of.keys() >= set(stored.ids):
        return False
    broken = (image_of[image] for image in record.left_out if image in image_of)
    mended = next((image for image in broken if not read_rows((image,), evaluation.pipeline)[1]), None)
    if mended is not None:
        readable = f"'{mended.id}', which was left out, can be read now"
        progress(Update("evaluate", note=f"{evaluation.name}: {readable}: all are evaluated again"))
        return False
    seen = [image_of[image] for image in stored.ids]
    return not have_changed(evaluation, seen, stored.contents, progress)


def drop_changed(evaluation: Evaluation, ledger: PredictionLedger, progress: Progress) -> None:
    """Clear a ledger in which some predictions are of files that have changed since."""
    rows = np.flatnonzero(ledger.tally.predicted)
    seen = [evaluation.spec.images[row] for row in rows.tolist()]
    if seen and have_changed(evaluation, seen, ledger.tally.contents[rows], progress):
        ledger.clear()
