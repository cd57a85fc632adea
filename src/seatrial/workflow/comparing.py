"""`seatrial compare`: what was evaluated before, held against each other without a device."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seatrial.compare.gates import judge_drop
from seatrial.compare.predictions import Accuracy, Differences, compare_predictions, count_right, relabel
from seatrial.data.labels import parse_label_file
from seatrial.errors import DataError, SeatrialError, UsageError
from seatrial.evaluation.predictions import Predictions
from seatrial.progress import Progress, Update, silent
from seatrial.store.record import read_json
from seatrial.store.records import AccuracyRecord, GateResult
from seatrial.workflow.accuracy import find_differences

TAKES = "compare takes one or two files of predictions (.parquet) today"
_FOLDERS = {
    "run.json": ("a run folder", "give files of its evaluation/"),
    "engine.json": ("an engine folder", "`seatrial evaluate` makes predictions with it"),
}


@dataclass(frozen=True, slots=True)
class CompareSpec:
    """Which predictions to hold against each other, and how."""

    files: Sequence[Path]
    """One, which is only counted, or the reference and another."""
    labels: Path | None = None
    """Judge by this label file instead of the labels that stand in the files."""
    gate_pp: float | None = None
    """The drop of top-1 to judge against, in percentage points."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What is to be said of one or two files of predictions."""

    accuracies: tuple[Accuracy, ...]
    """In the order of the files."""
    differences: Differences | None
    """None with one file."""
    gate: GateResult | None
    """None where no gate was given."""


def compare_files(spec: CompareSpec, progress: Progress = silent) -> Compared:
    """Count what is right in predictions, and hold the second against the first.

    Raises:
        UsageError: a file is not there or holds something else, there are too many, or a gate has nothing to judge.
        DataError: an image has no label in the label file, or there is no image at all.
        NotComparable: the two are of other images or labels.
        RefusedFile: a file is damaged.
    """
    if not 1 <= len(spec.files) <= 2:
        raise UsageError(f"{TAKES}, not {len(spec.files)}")
    if spec.gate_pp is not None and len(spec.files) < 2:
        raise UsageError("a gate judges a drop against a reference", "give the reference's predictions first")
    labels = None if spec.labels is None else parse_label_file(spec.labels)
    found = []
    for path in spec.files:
        predictions = load_predictions(path)
        if labels is not None:
            predictions = relabel(predictions, labels, str(spec.labels))
            spare = len(labels) - len(predictions.ids)
            if spare:
                progress(Update("compare", note=f"images of {spec.labels} that are not in {path}: {spare}"))
        found.append(predictions)
    names = name_files(spec.files)
    accuracies = tuple(count_right(predictions, name) for predictions, name in zip(found, names, strict=True))
    if len(found) < 2:
        return Compared(accuracies, None, None)
    differences = compare_predictions(found[0], found[1], (names[0], names[1]))
    doubts = _find_doubts(*spec.files)
    differences = replace(differences, versus=differences.versus.model_copy(update={"doubts": doubts}))
    gate = None if spec.gate_pp is None else judge_drop(names[1], differences.versus, spec.gate_pp)
    return Compared(accuracies, differences, gate)


def load_predictions(path: Path) -> Predictions:
    """The predictions in a file that is told to be one by what it holds.

    Raises:
        UsageError: it is not there, or is something else that is named.
        DataError: it holds no image.
        RefusedFile: it is damaged.
    """
    if not path.exists():
        raise UsageError(f"there are no predictions {path}", "`seatrial evaluate` writes them")
    if other := describe_other(path):
        kind, fix = other
        raise UsageError(f"{path} is {kind}: {TAKES}", fix)
    predictions = Predictions.load(path)
    if not predictions.ids:
        raise DataError(f"{path} holds predictions of no image")
    return predictions


def describe_other(path: Path) -> tuple[str, str | None] | None:
    """What lies at `path`, and what to give in its place; None if it is a Parquet file, as predictions are."""
    if path.is_dir():
        known = (told for name, told in _FOLDERS.items() if (path / name).is_file())
        return next(known, ("a folder", None))
    try:
        with path.open("rb") as file:
            if file.read(4) == b"PAR1":
                return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None
    with contextlib.suppress(SeatrialError):
        record = read_json(path)
        beside = record.get("predictions")
        fix = f"give {path.parent / beside}" if isinstance(beside, str) else None
        return f"a record ({record['schema']})" if "schema" in record else "JSON, but no record", fix
    return "no file of predictions", None


def _find_doubts(reference: Path, other: Path) -> tuple[str, ...]:
    """Why the two may differ beside the engine, where the records that `evaluate` wrote still stand beside them."""
    with contextlib.suppress(SeatrialError):
        record = AccuracyRecord.load(other.with_suffix(".json"))
        return find_differences(reference, record) if record.predictions == other.name else ()
    return ()


def name_files(paths: Sequence[Path]) -> tuple[str, ...]:
    """File names without their ending, or whole paths where those are the same."""
    stems = tuple(path.stem for path in paths)
    return stems if len(set(stems)) == len(stems) else tuple(map(str, paths))
