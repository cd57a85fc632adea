"""The stored predictions of an evaluation: read once they are known to be its own, and counted again."""

from pathlib import Path

from seatrial.errors import RefusedFile
from seatrial.metrics.classification import METRICS, Estimate, measure_all
from seatrial.metrics.topk import TopK
from seatrial.store.files import hash_file
from seatrial.store.predictions import Predictions, restrict
from seatrial.store.records import AccuracyRecord

AGAIN = "evaluate again with `seatrial evaluate`"


def find_predictions(folder: Path, record: AccuracyRecord) -> Path | None:
    """The file of predictions that a record in `folder` was counted from; None where it is missing.

    Raises:
        RefusedFile: it is another or damaged, or the record names a file elsewhere.
    """
    check_file_name(record.predictions, folder / f"{record.name}.json")
    path = folder / record.predictions
    if not path.is_file():
        return None
    if hash_file(path) != record.predictions_sha256:
        raise RefusedFile(f"{path} is altered or cut off", AGAIN)
    return path


def check_counts(folder: Path, record: AccuracyRecord) -> Predictions | None:
    """Count a record in `folder` again from its predictions, and return them where they are there.

    Raises:
        RefusedFile: its hits are not those of the predictions; or as `find_predictions`.
    """
    path = find_predictions(folder, record)
    if path is None:
        return None
    ours = Predictions.load(path, record.classes)
    hits = () if ours.labels is None else TopK.of(ours.classes, ours.labels).hits
    _check(folder, record, "hits", (record.images, record.hits), (len(ours.ids), hits))
    metrics = {} if ours.labels is None else measure_all(ours.labels, ours.classes, ours.scores)
    # A record of a newer version may have others.
    stored = {name: _round(estimate) for name, estimate in record.metrics.items() if name in METRICS}
    _check(folder, record, "metrics", stored, {name: _round(metrics.get(name)) for name in stored})
    return ours


def _round(estimate: Estimate | None) -> list[float | None]:
    """Its figures but for the last digits, in which sums differ from machine to machine."""
    figures = () if estimate is None else (estimate.value, estimate.low, estimate.high)
    return [None if figure is None else round(figure, 9) for figure in figures]


def check_versus(folder: Path, record: AccuracyRecord, ours: Predictions, theirs: Predictions) -> None:
    """Count a record in `folder` again against `theirs`, the predictions of the reference that it was compared with.

    Raises:
        RefusedFile: its counts are not those of the predictions.
    """
    theirs, stored, agreement = restrict(theirs, ours.ids), record.versus, record.agreement
    if theirs.ids != ours.ids:
        return  # Evaluations of other images: a doubt in the report.
    before, after = theirs.classes[:, 0], ours.classes[:, 0]
    if agreement is not None:
        counted = (len(before), int((before != after).sum()))
        _check(folder, record, "agreement with its reference", (agreement.images, agreement.changed), counted)
    if stored is None or ours.labels is None:
        return
    was_right, is_right = before == ours.labels, after == ours.labels
    chosen = (was_right & is_right, was_right & ~is_right, ~was_right & is_right, before != after)
    counts = (stored.both_right, stored.lost, stored.gained, stored.changed)
    _check(folder, record, "counts against its reference", counts, tuple(int(rows.sum()) for rows in chosen))


def _check(folder: Path, record: AccuracyRecord, what: str, stored: object, counted: object) -> None:
    if stored != counted:
        raise RefusedFile(
            f"{folder / record.name}.json was edited or damaged: its {what} are {stored}, and its predictions give "
            f"{counted}",
            AGAIN,
        )


def check_file_name(name: str, source: Path) -> None:
    """Refuse a name that would lead out of its folder.

    Raises:
        RefusedFile: `name`, from `source`, is not a plain file name.
    """
    if "/" in name or name in ("", ".", ".."):
        raise RefusedFile(f"{source} names {name!r}, which is no plain file name", "it was not written by seatrial")
