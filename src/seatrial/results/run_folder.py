"""All records of a run folder, read once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from seatrial.errors import UsageError
from seatrial.recipes.schema import Recipe
from seatrial.results.recount import check_counts, check_file_name, check_versus
from seatrial.results.run import (
    ACCURACY,
    CHOICE,
    ENGINE,
    GRAPH,
    PREPROCESSING,
    SPEED,
    THROUGHPUT,
    TRAINING,
    VERDICT,
    WEIGHTS,
)
from seatrial.results.run import Run as Run
from seatrial.results.stale import find_stale
from seatrial.store.choice import Choice
from seatrial.store.flips import load_flips
from seatrial.store.measurement import Measurement, Throughput
from seatrial.store.preprocessing_proof import PreprocessingProof
from seatrial.store.record import Record
from seatrial.store.records import (
    AccuracyRecord,
    CheckpointManifest,
    EngineManifest,
    GraphManifest,
    RunManifest,
    Verdict,
)
from seatrial.store.training import TrainingRecord

AnyRecord = TypeVar("AnyRecord", bound=Record)


def read_run(folder: Path) -> Run:
    """Read the records of a run as `read_records`, and the predictions, from which accuracies are counted again.

    Raises:
        UsageError: the folder is no run, or a record in it is of another kind.
        RefusedFile: a record is damaged, is not what its predictions give, or names a file outside the run.
    """
    run, predictions = read_records(folder), {}
    for name, record in run.accuracy.items():
        found = check_counts(folder / "evaluation", record)
        if found is not None:
            predictions[name] = found
    for name, ours in predictions.items():
        compared = run.accuracy[name].compared
        theirs = None if compared is None else predictions.get(compared.reference)
        # Records of older versions do not name the predictions of their reference, which may have changed.
        if compared is not None and theirs is not None and compared.reference_sha256:
            check_versus(folder / "evaluation", run.accuracy[name], ours, theirs)
    kept = {name: load_flips(folder / "evaluation", name, run.accuracy[name]) for name in predictions}
    flips = {name: found for name, found in kept.items() if found is not None}
    return replace(run, predictions=predictions, flips=flips)


def read_records(folder: Path) -> Run:
    """Read the records of a run; records may be missing, but none may be damaged.

    Records of other inputs than run.json names are left out and listed in `stale`.

    Raises:
        UsageError: the folder is no run, or a record in it is of another kind.
        RefusedFile: a record is damaged, or names a file outside the run.
    """
    if not (folder / "run.json").is_file():
        raise UsageError(f"{folder} is no run folder (it has no run.json)", "`seatrial run` makes one")
    manifest = RunManifest.load(folder / "run.json")
    if not manifest.engines:
        raise UsageError(f"{folder / 'run.json'} names no engine", "run it again with --engines")
    for name in manifest.engines:
        check_file_name(name, folder / "run.json")
    names = manifest.engines
    whole = Run(
        folder=folder,
        manifest=manifest,
        recipe=Recipe.read(manifest.recipe, f"recipe in {folder / 'run.json'}"),
        verdict=_load(Verdict, folder / VERDICT),
        checkpoint=_load(CheckpointManifest, folder / WEIGHTS),
        graph=_load(GraphManifest, folder / GRAPH),
        training=_load(TrainingRecord, folder / TRAINING),
        built=_load_each(EngineManifest, folder, names, ENGINE),
        accuracy=_load_each(AccuracyRecord, folder, names, ACCURACY),
        throughput=_load_each(Throughput, folder, names, THROUGHPUT),
        measurements=_load_each(Measurement, folder, names, SPEED),
        preprocessing=_load(PreprocessingProof, folder / PREPROCESSING),
        choice=_load_choice(folder, manifest),
    )
    return _leave_out(whole, find_stale(whole))


def _leave_out(run: Run, stale: Mapping[str, str]) -> Run:
    """The run without its stale records."""
    return replace(
        run,
        verdict=None if VERDICT in stale else run.verdict,
        checkpoint=None if WEIGHTS in stale else run.checkpoint,
        graph=None if GRAPH in stale else run.graph,
        training=None if TRAINING in stale else run.training,
        built={name: record for name, record in run.built.items() if ENGINE.format(name) not in stale},
        accuracy={name: record for name, record in run.accuracy.items() if ACCURACY.format(name) not in stale},
        throughput={name: record for name, record in run.throughput.items() if THROUGHPUT.format(name) not in stale},
        measurements={name: record for name, record in run.measurements.items() if SPEED.format(name) not in stale},
        preprocessing=None if PREPROCESSING in stale else run.preprocessing,
        stale=stale,
    )


def _load_choice(folder: Path, manifest: RunManifest) -> Choice | None:
    """The choice of these inputs; one of others is as none."""
    found = _load(Choice, folder / CHOICE)
    return found if found is not None and found.run == manifest.identity else None


def _load(kind: type[AnyRecord], path: Path) -> AnyRecord | None:
    return kind.load(path) if path.exists() else None


def _load_each(kind: type[AnyRecord], folder: Path, names: Sequence[str], place: str) -> dict[str, AnyRecord]:
    paths = {name: folder / place.format(name) for name in names}
    return {name: kind.load(path) for name, path in paths.items() if path.exists()}
