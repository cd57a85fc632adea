"""The records of a run folder, and their paths in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.recipes.schema import Recipe
from seatrial.store.choice import Choice
from seatrial.store.flips import FlipsRecord
from seatrial.store.measurement import Measurement, Throughput
from seatrial.store.predictions import Predictions
from seatrial.store.preprocessing_proof import PreprocessingProof
from seatrial.store.records import (
    AccuracyRecord,
    CheckpointManifest,
    EngineManifest,
    GraphManifest,
    RunManifest,
    Verdict,
)
from seatrial.store.training import TrainingRecord

WEIGHTS, GRAPH, TRAINING, VERDICT = "checkpoint.safetensors.json", "model.onnx.json", "train/train.json", "verdict.json"
PREPROCESSING, CHOICE = "preprocessing.json", "choice.json"
"""Paths of records in a run folder."""
ENGINE, ACCURACY = "engines/{}/engine.json", "evaluation/{}.json"
THROUGHPUT, SPEED = "evaluation/{}.throughput.json", "bench/{}.json"
"""Those of an engine: its manifest, its accuracy, the times of its evaluation, and its speed; `{}` is its name."""


def describe_reference(recipe: Recipe) -> str:
    """What stands for the network in a run that has no torch; empty where torch itself is the reference."""
    return "the file itself in onnxruntime fp32" if recipe.network.builder == "onnx" else ""


@dataclass(frozen=True, slots=True)
class Run:
    """A run's records; missing ones are None, or not in their mapping."""

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
    predictions: Mapping[str, Predictions] = field(default_factory=dict)
    """By engine name, where the file exists; read by `results.run_folder.read_run` only."""
    flips: Mapping[str, FlipsRecord] = field(default_factory=dict)
    """By engine name, of those with predictions that were compared: the gravest flips, with pictures."""
    preprocessing: PreprocessingProof | None = None
    """Of the recipe's steps, where a library described the model."""
    choice: Choice | None = None
    """What of it is to be deployed."""
    stale: Mapping[str, str] = field(default_factory=dict)
    """Records left out because they are of other inputs: which, by path."""

    @property
    def engines(self) -> tuple[str, ...]:
        """Names in the order of the request, the reference first."""
        return self.manifest.engines

    @property
    def labelled(self) -> bool:
        """Whether the images that were evaluated have labels; else nothing is known to be right or wrong."""
        return all(record.labelled for record in self.accuracy.values())

    @property
    def reference(self) -> str:
        """The engine that the others are compared with."""
        return self.manifest.engines[0]

    def name_first_classes(self, record: AccuracyRecord) -> str:
        """What evaluations that give every image the same first class have in common: a hash of predictions.

        It is that of the reference's predictions where no first class differs from them, else of the record's own.
        """
        reference, compared = self.accuracy.get(self.reference), record.compared
        if compared is None or compared.changed or reference is None or compared.images != reference.images:
            return record.predictions_sha256
        return compared.reference_sha256 or record.predictions_sha256
