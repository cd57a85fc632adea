"""Everything a run folder holds, read once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from seatrial.errors import RefusedFile, UsageError
from seatrial.recipes.schema import Recipe
from seatrial.store.measurement import Measurement
from seatrial.store.record import Record
from seatrial.store.records import (
    AccuracyRecord,
    CheckpointManifest,
    EngineManifest,
    GraphManifest,
    RunManifest,
    Throughput,
    TrainingRecord,
    Verdict,
)

AnyRecord = TypeVar("AnyRecord", bound=Record)


@dataclass(frozen=True, slots=True)
class Run:
    """A run's records; what a stage has not left is None, or not in its mapping."""

    folder: Path
    manifest: RunManifest
    recipe: Recipe
    verdict: Verdict | None
    checkpoint: CheckpointManifest | None
    graph: GraphManifest | None
    training: TrainingRecord | None
    built: Mapping[str, EngineManifest]
    """By engine name, like the next three; in the order of the run."""
    accuracy: Mapping[str, AccuracyRecord]
    throughput: Mapping[str, Throughput]
    measurements: Mapping[str, Measurement]

    @property
    def engines(self) -> tuple[str, ...]:
        """Names in the order asked, the reference first."""
        return self.manifest.engines

    @property
    def reference(self) -> str:
        """The engine that the others are compared with."""
        return self.manifest.engines[0]


def read_run(folder: Path) -> Run:
    """Read the records of a run; parts may be missing, but what is there must be whole.

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
    return Run(
        folder=folder,
        manifest=manifest,
        recipe=Recipe.read(manifest.recipe, f"recipe in {folder / 'run.json'}"),
        verdict=_load(Verdict, folder / "verdict.json"),
        checkpoint=_load(CheckpointManifest, folder / "checkpoint.safetensors.json"),
        graph=_load(GraphManifest, folder / "model.onnx.json"),
        training=_load(TrainingRecord, folder / "train" / "train.json"),
        built=_load_each(EngineManifest, {n: folder / "engines" / n / "engine.json" for n in manifest.engines}),
        accuracy=_load_each(AccuracyRecord, {n: folder / "evaluation" / f"{n}.json" for n in manifest.engines}),
        throughput=_load_each(
            Throughput, {n: folder / "evaluation" / f"{n}.throughput.json" for n in manifest.engines}
        ),
        measurements=_load_each(Measurement, {n: folder / "bench" / f"{n}.json" for n in manifest.engines}),
    )


def check_file_name(name: str, source: Path) -> None:
    """Refuse a name that would lead out of its folder.

    Raises:
        RefusedFile: `name`, which stands in `source`, is not a plain file name.
    """
    if "/" in name or name in ("", ".", ".."):
        raise RefusedFile(f"{source} names {name!r}, which is no plain file name", "it was not written by seatrial")


def _load(kind: type[AnyRecord], path: Path) -> AnyRecord | None:
    return kind.load(path) if path.exists() else None


def _load_each(kind: type[AnyRecord], paths: Mapping[str, Path]) -> dict[str, AnyRecord]:
    return {name: kind.load(path) for name, path in paths.items() if path.exists()}
