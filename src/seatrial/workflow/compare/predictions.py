"""`seatrial compare` of predictions: with each other, or judged by other labels; without a device."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from seatrial.compare.gates import judge_drop, judge_plausible
from seatrial.compare.predictions import Accuracy, Differences, compare_predictions, count_right, relabel
from seatrial.data.labels import parse_label_file
from seatrial.errors import UsageError
from seatrial.evaluation.reference import ReferencePredictions, name_differences
from seatrial.progress import Progress, Update, silent
from seatrial.recipes.schema import Gates
from seatrial.results.recount import AGAIN, find_predictions
from seatrial.store.records import AccuracyRecord, GateResult
from seatrial.workflow.compare.inputs import name_files


@dataclass(frozen=True, slots=True)
class CompareSpec:
    """Which predictions to compare, and how."""

    files: Sequence[Path]
    """One file, which is only counted, or the reference and another."""
    labels: Path | None = None
    """Judge by this label file instead of the labels in the files."""
    gate_pp: float | None = None
    """The drop of top-1 to judge against, in percentage points."""
    names: tuple[str, ...] = ()
    """Names for the files; default: their own."""
    gates: Gates = field(default_factory=Gates)
    """The card's, where it is known: limits of plausibility and changed predictions."""


@dataclass(frozen=True, slots=True)
class PredictionsComparison:
    """One file of predictions counted, or two compared."""

    accuracies: tuple[Accuracy, ...]
    """In the order of the files."""
    differences: Differences | None
    """None with one file."""
    gate: GateResult | None
    """None where no gate was given."""
    suspected: tuple[GateResult, ...] = ()
    """Suspicions about the predictions, INCONCLUSIVE each."""


def compare_files(spec: CompareSpec, progress: Progress = silent) -> PredictionsComparison:
    """Count what is right in predictions, and compare the second with the first.

    Raises:
        UsageError: there are too many, or a gate has nothing to judge.
        DataError: an image has no label in the label file.
        NotComparable: their images or labels differ.
        RefusedFile: a file is damaged, or no classifier can have given its predictions.
    """
    if not 1 <= len(spec.files) <= 2:
        raise UsageError(
            f"compare takes one or two files of predictions, not {len(spec.files)}", "compare them in pairs"
        )
    if spec.gate_pp is not None and len(spec.files) < 2:
        raise UsageError("a gate judges a drop against a reference", "give the reference's predictions first")
    labels = None if spec.labels is None else parse_label_file(spec.labels)
    stored = [ReferencePredictions.load(path) for path in spec.files]
    found = []
    for path, file in zip(spec.files, stored, strict=True):
        predictions = file.predictions
        if labels is not None:
            predictions = relabel(predictions, labels, str(spec.labels))
            spare = len(labels) - len(predictions.ids)
            if spare:
                progress(Update("compare", note=f"images of {spec.labels} that are not in {path}: {spare}"))
        found.append(predictions)
    names = spec.names or name_files(spec.files)
    accuracies = tuple(count_right(predictions, name) for predictions, name in zip(found, names, strict=True))
    judged = [replace(file, predictions=predictions) for file, predictions in zip(stored, found, strict=True)]
    believed = [file.believe(labels is None) for file in judged]
    suspected = judge_plausible(names[0], believed[0].suspicions, None, spec.gates)
    if len(found) < 2:
        return PredictionsComparison(accuracies, None, None, suspected)
    differences = compare_predictions(found[0], found[1], (names[0], names[1]))
    record = stored[1].record
    versus = differences.versus if record is None else name_differences(differences.versus, stored[0], record)
    gate = None if spec.gate_pp is None else judge_drop(names[1], versus, spec.gate_pp)
    unchecked = any(belief.unchecked for belief in believed)
    suspected += judge_plausible(names[1], believed[1].suspicions, None if unchecked else versus, spec.gates)
    return PredictionsComparison(accuracies, replace(differences, versus=versus), gate, suspected)


def locate_predictions(path: Path) -> Path:
    """The predictions that belong to the accuracy record at `path`.

    Raises:
        UsageError: they are missing.
        RefusedFile: they are not those that it was counted from, or it names a file elsewhere.
    """
    record = AccuracyRecord.load(path)
    predictions = find_predictions(path.parent, record)
    if predictions is None:
        raise UsageError(f"{path} has no predictions beside it: {record.predictions} is missing", AGAIN)
    return predictions
