"""The stored predictions of an evaluation: read once they are known to be its own, and counted again."""

from pathlib import Path

from seatrial.errors import RefusedFile
from seatrial.metrics.topk import TopK
from seatrial.store.files import hash_file
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord

AGAIN = "evaluate again with `seatrial evaluate`"


def read_predictions(folder: Path, record: AccuracyRecord) -> Predictions | None:
    """The predictions that a record in `folder` was counted from; None where they are not there.

    Raises:
        RefusedFile: they are others or damaged, or the record names a file elsewhere.
    """
    check_file_name(record.predictions, folder / f"{record.name}.json")
    path = folder / record.predictions
    if not path.is_file():
        return None
    if hash_file(path) != record.predictions_sha256:
        raise RefusedFile(f"{path} is altered or cut off", AGAIN)
    return Predictions.load(path, record.classes)


def check_counts(folder: Path, record: AccuracyRecord) -> Predictions | None:
    """Count a record in `folder` again from its predictions, and return them where they are there.

    Raises:
        RefusedFile: its hits are not those of the predictions; or as `read_predictions`.
    """
    ours = read_predictions(folder, record)
    if ours is not None:
        counted = TopK.of(ours.classes, ours.labels)
        _check(folder, record, "hits", (record.images, record.hits), (counted.count, counted.hits))
    return ours


def check_versus(folder: Path, record: AccuracyRecord, ours: Predictions, theirs: Predictions) -> None:
    """Count a record in `folder` again against `theirs`, the predictions of the reference that it was compared with.

    Raises:
        RefusedFile: its counts are not those of the predictions.
    """
    if record.versus is None:
        return
    row_of = {image: row for row, image in enumerate(theirs.ids)}
    rows = [row_of.get(image, -1) for image in ours.ids]
    if -1 in rows:
        return  # The two are of other images, which the report says.
    before, after = theirs.classes[rows, 0], ours.classes[:, 0]
    was_right, is_right = before == ours.labels, after == ours.labels
    told = record.versus
    _check(
        folder,
        record,
        "counts against its reference",
        (told.both_right, told.lost, told.gained, told.changed),
        tuple(
            int(found.sum())
            for found in (was_right & is_right, was_right & ~is_right, ~was_right & is_right, before != after)
        ),
    )


def _check(folder: Path, record: AccuracyRecord, what: str, told: object, counted: object) -> None:
    if told != counted:
        raise RefusedFile(
            f"{folder / record.name}.json was edited or damaged: its {what} are {told}, and its predictions give "
            f"{counted}",
            AGAIN,
        )


def check_file_name(name: str, source: Path) -> None:
    """Refuse a name that would lead out of its folder.

    Raises:
        RefusedFile: `name`, which stands in `source`, is not a plain file name.
    """
    if "/" in name or name in ("", ".", ".."):
        raise RefusedFile(f"{source} names {name!r}, which is no plain file name", "it was not written by seatrial")
