"""Judging what was made: `evaluate`, `predict` and `compare`."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from seatrial.api.results import AccuracyResult, ComparisonResult, Prediction
from seatrial.api.values import Names, Place, check_numbers, find_path, list_names, list_texts
from seatrial.errors import UsageError
from seatrial.extras import naming_extras
from seatrial.progress import Progress, silent

if TYPE_CHECKING:
    from seatrial.cluster.connection import RayExecutor
    from seatrial.recipes import Recipe
    from seatrial.store.records import GraphManifest
    from seatrial.workflow.compare.inputs import Comparable
    from seatrial.workflow.compare.predictions import PredictionsComparison

_PREDICTIONS = ("--gate", "--gate-pp", "--labels", "--limit")
_TAKES = {
    "predictions": _PREDICTIONS,
    "accuracy records": _PREDICTIONS,
    "speed records": ("--baseline", "--gate", "--allow", "--scope", "--per", "--format"),
    "training speeds": ("--allow", "--format"),
    "runs": ("--gate", "--gate-pp", "--max-slower-pct", "--allow", "--format"),
    "speed records under --max-slower-pct": ("--max-slower-pct", "--allow", "--format"),
}
"""The options of `compare` that apply, by what is compared."""


@naming_extras()
def load_recipe(
    recipe: Place, *, image_size: int | None = None, like: str | None = None, classes: int | None = None
) -> "Recipe":
    """The card that a model reference leads to; nothing is downloaded.

    Raises:
        UsageError: there is no such card or model, or a key or value is wrong.
    """
    check_numbers(locals())
    from seatrial.models.sources import resolve_recipe

    return resolve_recipe(os.fspath(recipe), image_size, like, classes)


@naming_extras()
def evaluate(
    folder: Place,
    *,
    images: Place,
    output: Place,
    labels: Place | None = None,
    no_labels: bool = False,
    batch_size: int | None = None,
    reference: Place | None = None,
    limit: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    streams: int | None = None,
    logits: bool = False,
    allow_partial: bool = False,
    resume: bool = True,
    gate_pp: float | None = None,
    until_certain: bool = False,
    fake_images: int | None = None,
    cluster: str | None = None,
    actors: int | None = None,
    cpus_per_actor: int | None = None,
    progress: Progress | None = None,
) -> AccuracyResult:
    """Measure an engine's accuracy; writes OUTPUT/NAME.json and NAME.parquet. A gate that fails is no error.

    Args:
        folder: an engine folder that `compile` wrote.
        reference: predictions of another engine (.parquet) to compare with.

    Raises:
        SeatrialError: as `workflow.evaluate.evaluate_engine`.
    """
    check_numbers(locals())
    from seatrial.engines.base import read_engine
    from seatrial.workflow.evaluate import EvaluateSpec, ImageSetSpec, evaluate_engine, read_set

    notify, file = progress or silent, read_engine(Path(folder))
    limit_pp = _choose_gate(file.manifest.graph, find_path(reference), gate_pp, until_certain)
    spec = EvaluateSpec(
        batch_size=batch_size,
        reference=find_path(reference),
        decode_workers=workers,
        streams=streams,
        keep_logits=logits,
        allow_partial=allow_partial,
        resume=resume,
        until_pp=limit_pp if until_certain else None,
    )
    chosen = ImageSetSpec(os.fspath(images), find_path(labels), no_labels, limit, seed, fake_images)
    with _connect(cluster, actors, cpus_per_actor, file.manifest.device) as executor:
        record = evaluate_engine(file, read_set(file, chosen, spec, notify), Path(output), notify, executor)
    from seatrial.compare.gates import judge_predictions
    from seatrial.compare.verdict import reach_verdict
    from seatrial.recipes import Recipe

    card = Recipe.read(file.manifest.graph.recipe, "the graph's manifest")
    gates = tuple(judge_predictions(record, card.gates, limit_pp))
    verdict = reach_verdict(record.recipe, gates) if gates else None
    return AccuracyResult(Path(output) / f"{record.name}.json", record, gates, verdict)


def _connect(
    cluster: str | None, actors: int | None, cpus_per_actor: int | None, device: str
) -> "AbstractContextManager[RayExecutor | None]":
    """The cluster of the options; None is this process.

    Raises:
        UsageError: there are options of a cluster and no --cluster.
        EngineError: it cannot be reached, or has no room.
    """
    if cluster is None:
        if actors is not None or cpus_per_actor is not None:
            raise UsageError("--actors and --cpus-per-actor need a cluster", "give --cluster ray")
        return nullcontext()
    from seatrial.cluster.connection import RayExecutor, parse_cluster

    return RayExecutor(device, parse_cluster(cluster), actors, cpus_per_actor)


def _choose_gate(
    graph: "GraphManifest", reference: Path | None, gate_pp: float | None, until_certain: bool
) -> float | None:
    """The largest drop in points, None if nothing is to be judged.

    Raises:
        UsageError: there is no reference to judge against, or no gate.
    """
    if gate_pp is None and not until_certain:
        return None
    if reference is None:
        raise UsageError("--gate-pp and --until-certain need a reference", "give --reference FILE.parquet")
    own = graph.recipe.get("gates", {}).get("reference_drop_pp")
    if gate_pp is None and own is None:
        raise UsageError(f"the card {graph.recipe['name']} has no gate reference_drop_pp", "give --gate-pp POINTS")
    return own if gate_pp is None else gate_pp


@naming_extras()
def predict(run: Place, image: Place, *, engine: str | None = None) -> Prediction:
    """The five best classes of an image, as a run's engine gives them.

    Args:
        run: a run folder, or an engine folder.
        engine: one of the run's engines; None: its reference.

    Raises:
        UsageError: there is no such run or engine.
        DataError: the file is no image, or a damaged one.
        EngineError: the engine cannot be opened here.
    """
    return predict_all(run, [image], engine=engine)[0]


@naming_extras()
def predict_all(run: Place, images: Iterable[Place], *, engine: str | None = None) -> tuple[Prediction, ...]:
    """As `predict`, of several images with the engine opened once; one after the other."""
    from seatrial.workflow.predict import OpenedEngine, find_engine

    folder = find_engine(Path(run), engine)
    with OpenedEngine(folder) as opened:
        return tuple(Prediction(os.fspath(file), folder.name, opened.predict_file(Path(file))) for file in images)


@naming_extras()
def compare(
    *paths: Place,
    baseline: Names | None = None,
    gate: Names | None = None,
    allow: Names | None = None,
    scope: Literal["device", "host", "e2e"] | None = None,
    per: Literal["chip", "card"] | None = None,
    max_slower_pct: float | None = None,
    gate_pp: float | None = None,
    labels: Place | None = None,
    progress: Progress | None = None,
) -> ComparisonResult:
    """Compare records, runs or predictions, all of one kind; `verdict` is None where nothing was to be judged.

    Raises:
        UsageError: they are of several kinds, or an option does not apply to them.
        NotComparable: they differ in more than what is compared.
    """
    check_numbers(locals())
    files = [Path(path) for path in paths]
    if not files:
        raise UsageError("nothing to compare is named", "give two runs, records or files of predictions")
    given = {
        "--baseline": baseline, "--gate": gate, "--allow": allow, "--scope": scope, "--per": per, "--labels": labels,
        "--max-slower-pct": max_slower_pct, "--gate-pp": gate_pp,
    }  # fmt: skip
    kind = detect_compared(files, given)
    gates = list_texts(gate)
    if kind in ("predictions", "accuracy record"):
        found = _compare_predictions(kind, files, find_path(labels), gate_pp, gates, progress or silent)
        return _judge_predictions(kind, found)
    if kind == "training speed":
        from seatrial.workflow.compare.speed import compare_trainings

        return ComparisonResult(kind, compare_trainings(files, list_names(allow)), None)
    if kind == "run" or max_slower_pct is not None:
        return _compare_changes(kind, files, (gate_pp, max_slower_pct), list_names(allow), gates)
    from seatrial.compare.comparability import KINDS, check_kinds
    from seatrial.compare.speed_table import make_table
    from seatrial.workflow.compare.speed import read_columns

    allowed = check_kinds(list_names(allow), KINDS)
    table = make_table(read_columns(files), list_names(baseline), gates, allowed, scope, per)
    return ComparisonResult(kind, table, table.verdict)


def detect_compared(paths: Sequence[Path], given: Mapping[str, object]) -> "Comparable":
    """What all of `paths` are; options that are None were not given.

    Raises:
        UsageError: an option does not apply to them, or as `workflow.compare.inputs.detect_kind`.
    """
    from seatrial.workflow.compare.inputs import detect_kind

    kind = detect_kind(paths)
    _refuse_ignored(kind, [name for name, value in given.items() if value is not None])
    return kind


def _refuse_ignored(kind: str, given: Collection[str]) -> None:
    things = kind if kind == "predictions" else f"{kind}s"
    if kind == "speed record" and "--max-slower-pct" in given:
        things = "speed records under --max-slower-pct"
    for name in given:
        if name not in _TAKES[things]:
            raise UsageError(f"{name} does not apply to {things}", f"these do: {' '.join(_TAKES[things])}")


def _compare_predictions(
    kind: str,
    paths: Sequence[Path],
    labels: Path | None,
    gate_pp: float | None,
    gates: tuple[str, ...],
    progress: Progress,
) -> "PredictionsComparison":
    from seatrial.compare.gate_expression import GateScope, check_gates
    from seatrial.workflow.compare.inputs import name_files
    from seatrial.workflow.compare.predictions import compare_files, locate_predictions, require

    files = [locate_predictions(path) for path in paths] if kind == "accuracy record" else paths
    names = name_files(files)
    scope = GateScope(names, names[0] if len(names) > 1 else "", kinds=("accuracy",))
    required = check_gates(gates, scope)
    return require(compare_files(files, labels, gate_pp, progress=progress), required, scope)


def _judge_predictions(kind: "Comparable", found: "PredictionsComparison") -> ComparisonResult:
    from seatrial.compare.verdict import reach_verdict

    return ComparisonResult(kind, found, reach_verdict("", found.gates) if found.gates else None)


def _compare_changes(
    kind: "Comparable",
    paths: Sequence[Path],
    limits: tuple[float | None, float | None],
    allow: Sequence[str],
    gates: tuple[str, ...],
) -> ComparisonResult:
    """Two runs or records; the limits are the drop in points and the loss of speed in percent."""
    from seatrial.compare.comparability import KINDS, check_kinds
    from seatrial.compare.regression import MAX_SLOWER_PCT
    from seatrial.workflow.compare.runs import ChangeSpec, compare_measurements, compare_runs

    slower = MAX_SLOWER_PCT if limits[1] is None else limits[1]
    spec = ChangeSpec(limits[0], slower, check_kinds(allow, KINDS), gates)
    changes = compare_runs(paths, spec) if kind == "run" else compare_measurements(paths, spec)
    return ComparisonResult(kind, changes, changes.verdict)
