"""`seatrial compare` of predictions: with each other, or judged by other labels; without a device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from seatrial.compare.gate_expression import GateScope, judge_gate
from seatrial.compare.gates import judge_drop, judge_plausible
from seatrial.compare.predictions import Accuracy, Differences, compare_predictions, count_right, relabel
from seatrial.compare.quantities import Evidence
from seatrial.data.classes import UNKNOWN
from seatrial.data.label_files import read_image_labels
from seatrial.errors import UsageError
from seatrial.evaluation.reference import ReferencePredictions, name_differences
from seatrial.metrics.inequality import Inequality
from seatrial.progress import Progress, Update, silent
from seatrial.recipes.schema import Gates
from seatrial.results.recount import AGAIN, find_predictions
from seatrial.store.predictions import load_names
from seatrial.store.records import AccuracyRecord, GateResult
from seatrial.workflow.compare.inputs import name_files

NO_GATES = Gates()


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
    class_names: Mapping[int, str] = field(default_factory=dict)
    """Of the classes that changed, as far as the files have names."""
    required: tuple[GateResult, ...] = ()
    """Of the expressions that were given."""

    @property
    def gates(self) -> tuple[GateResult, ...]:
        """Everything that was judged; without a gate suspicions are shown, and judge nothing."""
        judged = (*((self.gate,) if self.gate else ()), *self.required)
        return (*judged, *self.suspected) if judged else ()


def require(found: PredictionsComparison, gates: Sequence[Inequality], scope: GateScope) -> PredictionsComparison:
    """The comparison with the results of checked expressions over its files' names."""
    compared = None if found.differences is None else found.differences.versus or found.differences.agreement
    evidence = {
        counted.name: Evidence(
            counted.name,
            counted.images,
            counted.hits,
            counted.metrics,
            None if counted is found.accuracies[0] else compared,
        )
        for counted in found.accuracies
    }
    return replace(found, required=tuple(result for gate in gates for result in judge_gate(gate, evidence, scope)))


def compare_files(
    files: Sequence[Path],
    labels: Path | None = None,
    gate_pp: float | None = None,
    names: tuple[str, ...] = (),
    gates: Gates = NO_GATES,
    progress: Progress = silent,
) -> PredictionsComparison:
    """Count what is right in predictions, and compare the second with the first.

    Args:
        files: one, which is only counted, or the reference and another.
        labels: judge by this label file instead of the labels in the files.
        gate_pp: the drop of top-1 to judge against, in percentage points.
        names: for the files; default: their own.
        gates: the card's, where it is known: limits of plausibility and changed predictions.

    Raises:
        UsageError: there are too many, or a gate has nothing to judge.
        DataError: an image has no label in the label file.
        NotComparable: their images or labels differ.
        RefusedFile: a file is damaged, or no classifier can have given its predictions.
    """
    _check_files(files, gate_pp)
    stored = _load(files, labels, progress)
    names = names or name_files(files)
    accuracies = tuple(count_right(file.predictions, name) for file, name in zip(stored, names, strict=True))
    believed = [file.believe(labels is None) for file in stored]
    suspected = judge_plausible(names[0], believed[0].suspicions, None, gates)
    if len(stored) < 2:
        return PredictionsComparison(accuracies, None, None, suspected)
    differences = compare_predictions(stored[0].predictions, stored[1].predictions, (names[0], names[1]))
    if stored[1].record is not None:
        differences = _name_differences(differences, stored[0], stored[1].record)
    compared = differences.versus or differences.agreement
    gate = None if gate_pp is None else judge_drop(names[1], compared, gate_pp)
    unchecked = any(belief.unchecked for belief in believed)
    suspected += judge_plausible(names[1], believed[1].suspicions, None if unchecked else compared, gates)
    class_names = {place: name for path in files for place, name in load_names(path).items()}
    return PredictionsComparison(accuracies, differences, gate, suspected, class_names)


def _check_files(files: Sequence[Path], gate_pp: float | None) -> None:
    if not 1 <= len(files) <= 2:
        raise UsageError(f"compare takes one or two files of predictions, not {len(files)}", "compare them in pairs")
    if gate_pp is not None and len(files) < 2:
        raise UsageError("a gate judges a drop against a reference", "give the reference's predictions first")


def _name_differences(found: Differences, reference: ReferencePredictions, record: AccuracyRecord) -> Differences:
    """Comparisons with what else than the engine differs."""
    versus = found.versus and name_differences(found.versus, reference, record)
    return replace(found, versus=versus, agreement=name_differences(found.agreement, reference, record))


def _load(files: Sequence[Path], labels: Path | None, progress: Progress) -> list[ReferencePredictions]:
    stored = [ReferencePredictions.load(path) for path in files]
    return stored if labels is None else _relabel(files, stored, labels, progress)


def _relabel(
    files: Sequence[Path], stored: Sequence[ReferencePredictions], labels: Path, progress: Progress
) -> list[ReferencePredictions]:
    ids = {image: None for file in stored for image in file.predictions.ids}
    label_of = read_image_labels(labels, ids, UNKNOWN)
    for path, file in zip(files, stored, strict=True):
        spare = len(label_of) - len(file.predictions.ids)
        if spare > 0:
            progress(Update("compare", note=f"images of {labels} that are not in {path}: {spare}"))
    return [replace(file, predictions=relabel(file.predictions, label_of, str(labels))) for file in stored]


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
