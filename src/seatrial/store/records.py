"""The records of a run: what each stage stores, as JSON with a `schema` that names kind and version.

Old versions still load; an unknown key is an error. Times end in `_s` or `_ms`, sizes in `_bytes`,
`top1` is a fraction 0..1 and whatever ends in `_pp` is in percentage points.
"""

import itertools
import shlex
from typing import Any, Literal

from pydantic import Field, field_validator

from seatrial.errors import ExitCode
from seatrial.metrics.classification import Estimate, estimate_top_k, name_top_k
from seatrial.store.comparison import Agreement as Agreement
from seatrial.store.comparison import Compared as Compared
from seatrial.store.comparison import Comparison as Comparison
from seatrial.store.comparison import Suspicion as Suspicion
from seatrial.store.files import hash_value, is_inside
from seatrial.store.measurement import EngineRecord, Environment
from seatrial.store.record import Record
from seatrial.store.tuning import Tuning
from seatrial.strict import Strict

GraphPrecision = Literal["int4", "fp8", "int8", "fp16", "bf16", "fp32", "fp64", "unknown"]
"""What a graph may compute in, the narrower first."""
FOREIGN = "elsewhere"
"""The exporter in the manifest of an imported graph."""
Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]
"""Of a gate, and of a verdict."""
NO_LABELS = "not measured (no labels)"
"""In the place of every figure that counts what is right."""
WORST_FIRST: tuple[Outcome, ...] = ("FAIL", "INCONCLUSIVE", "PASS")
GateKind = Literal["accuracy", "speed", "resources"]
"""What a gate is about; resources are memory, size of files, and time to compile and to load."""


class TensorSpec(Strict):
    """One input or output of a graph or engine."""

    name: str
    dtype: Literal["uint8", "float32", "float16"]
    shape: tuple[int | None, ...]
    """Sizes by axis; None is a free batch."""
    layout: Literal["NCHW", "NHWC", "NC", "YUV420SP"]
    """YUV420SP is (n, height · 3/2, width, 1): the rows of Y, then half as many of interleaved U and V."""


class CheckpointManifest(Record):
    """Where canonical weights came from: beside `checkpoint.safetensors`."""

    schema_: Literal["seatrial/checkpoint/1"] = Field(default="seatrial/checkpoint/1", alias="schema")
    recipe: str
    network: str
    source: str
    source_sha256: str
    sha256: str
    """Hash of the safetensors file."""
    parameters: int
    """Learned numbers, running statistics not counted."""
    layout: str
    """How the source file was wrapped and named."""
    filled: tuple[str, ...]
    """Keys that the source lacked and that carry no learned value (num_batches_tracked)."""
    converted: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Keys that the library's own conversion changed: `gone` of the source, `new`, `reshaped`."""
    published: bool | None = None
    """Whether the source is the file whose checksum the card states; None: there is none, or it was not checked."""
    reading: dict[str, Any] = Field(default_factory=dict)
    """What decided besides the file which weights these are: the network's arguments, and the user's choice of them."""


class StepParity(Strict):
    """How far one step of making a graph moved its outputs, on real images."""

    step: str
    images: int
    relative_error: float
    """Frobenius norm of the difference over that of the reference logits."""
    largest_error: float
    top1_disagreements: int


class Int8Calibration(Strict):
    """What an int8 graph was calibrated with, and what of it stayed in float."""

    images: int
    sha256: str
    """Of the sorted hashes of the images' bytes."""
    contents: dict[str, int]
    """Sizes in bytes by the sha256 of each image's bytes, so that nobody evaluates on them."""
    preset: Literal["performance", "mixed"]
    layers: int
    """Convolutions and linear layers with int8 weights, a scale for each of their outputs."""
    float_layers: int
    kept_float: tuple[str, ...] = ()
    """Nodes that stay in float to keep the accuracy."""
    max_drop_pp: float | None = None
    """The drop of top-1 that was allowed while choosing them."""
    chosen_on: str | None = None
    """What identifies the labelled set that chose them (`data.labels.hash_listing`): it no longer proves them."""


class GraphManifest(Record):
    """What an ONNX file is: beside it as `NAME.onnx.json`."""

    schema_: Literal["seatrial/graph/1"] = Field(default="seatrial/graph/1", alias="schema")
    key: str
    recipe: dict[str, Any]
    """The whole card, so that an engine can be built from this file alone."""
    origin: str = ""
    """sha256 of the exported graph that this one was converted from; empty for the exported one, and in old records."""
    checkpoint: str
    """The safetensors file, relative to the manifest."""
    checkpoint_sha256: str
    published: bool | None = None
    """`CheckpointManifest.published` of that file."""
    sha256: str
    """Hash of the ONNX file, and of its external data where there is some: see `store.files.hash_graph`."""
    data: tuple[str, ...] = ()
    """Files with its weights, relative to the ONNX file; none where the file holds them."""
    opset: int
    exporter: str
    requested_opset: int | None = None
    """Where the exporter that was asked could not export the network, and another one does not write this opset."""
    simplified: bool
    precision: GraphPrecision = "fp32"
    """What most of the graph's layers compute in, by the types of what they multiply, Q/DQ nodes seen through."""
    calibration: Int8Calibration | None = None
    """Only of an int8 graph."""
    parameters: int | None = None
    """Numbers in the graph's weight initialisers, preprocessing left out; None where nobody counted."""
    macs: int | None = None
    """Multiply-accumulates for one image; None where nobody counted, or not all of them can be."""
    counted: str = ""
    """How these two were counted, in words; empty where nobody did."""
    dynamic_scales: bool = False
    """It takes scales from its input, so that an image's logits depend on the rest of the batch."""
    fused: bool
    """The preprocessing tail is in the graph, and the input is a uint8 image."""
    aipp: dict[str, Any] | None = None
    """The AIPP configuration that is in the graph instead of the card's own tail."""
    host_steps: tuple[dict[str, Any], ...] = ()
    """The pixel steps in front of it; without one they are the card's."""
    input: TensorSpec
    output: TensorSpec
    left_out: tuple[str, ...] = ()
    """Names of other outputs, which nobody takes."""
    preprocess_hash: str
    parity: tuple[StepParity, ...]
    versions: dict[str, str]

    @field_validator("data")
    @classmethod
    def _beside(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(is_inside, names)):
            raise ValueError(f"{', '.join(names)} are not in the folder of the graph")
        return names


class EngineModel(Strict):
    """One file of an engine folder."""

    path: str
    sha256: str
    batch_size: int | None
    """None: the file runs any batch size."""
    logits: str | None = None
    """For the self-test's pictures, when it was compiled: see `engines.self_test`."""


class LayerPrecision(Strict):
    """What one layer of an engine computes in, as the engine reports it."""

    name: str
    operator: str
    precision: str
    reason: str = ""
    """What the engine gives for it; empty where it gives nothing."""


class EngineManifest(Record):
    """What is in an engine folder: its `engine.json`."""

    schema_: Literal["seatrial/engine/1"] = Field(default="seatrial/engine/1", alias="schema")
    key: str
    engine: str
    sdk_version: str
    device: str
    precision: str
    """The precision requested."""
    executed: dict[str, int]
    """Layers by the precision that they run in, read back from the build; empty where the SDK does not report them."""
    other_layers: tuple[LayerPrecision, ...] = ()
    """Those that run in another precision than the one requested, the first hundred; none where the SDK names none."""
    options: dict[str, str]
    """As requested, and those that compiling chose."""
    chosen: tuple[str, ...] = ()
    """Names of the options that compiling chose, unrequested."""
    notes: tuple[str, ...] = ()
    """What compiling noticed that readers of the engine's figures should know."""
    compile_s: float | None = None
    """Of compiling, reading back and self-test included."""
    tuning: Tuning | None = None
    files: tuple[EngineModel, ...]
    companions: dict[str, str]
    """sha256 of the files that belong to those above, by name."""
    input: TensorSpec
    output: TensorSpec
    graph: GraphManifest

    @property
    def identity(self) -> str:
        """What results of this engine name it by: its inputs, and the files that came of them."""
        return hash_value([self.key, *self.contents])

    @property
    def contents(self) -> tuple[str, ...]:
        """The sha256 of everything that an engine loads from the folder."""
        return (*(model.sha256 for model in self.files), *(self.companions[name] for name in sorted(self.companions)))


class EarlyStopping(Strict):
    """How an evaluation that stops as soon as its verdict is certain ended."""

    limit_pp: float
    """The drop of top-1 that is allowed."""
    outcome: Outcome
    """INCONCLUSIVE only after the last image."""
    looks: int
    """Number of looks taken; see `evaluation.sequential`."""
    confidence: float
    """Confidence of the last look."""
    of_images: int
    """Number of images in the set."""


class AccuracyRecord(EngineRecord):
    """How one engine did on a set of images: `evaluation/NAME.json`."""

    schema_: Literal["seatrial/accuracy/4"] = Field(default="seatrial/accuracy/4", alias="schema")
    checkpoint_sha256: str
    """Empty of a graph from elsewhere, whose weights nobody knows."""
    graph_origin: str = ""
    """`GraphManifest.origin` of the graph."""
    contents_hash: str | None = None
    """Of the ids of the images with predictions and of their files' bytes: see `Predictions.hash_contents`; None of
    preprocessed images whose files are not recorded."""
    images: int
    """Number of images with predictions."""
    left_out: dict[str, str] = Field(default_factory=dict)
    """Why an image has no prediction, by id: it is missing, or cannot be read. Then this is partial."""
    fake: bool = False
    """Some images are in it under several names (`--fake-images`), so that its figures are no accuracy."""
    classes: int
    hits: tuple[int, ...] = ()
    """Images whose label is among the first 1, 2, … 5 classes; none where the images have no labels."""
    metrics: dict[str, Estimate]
    """By name in `metrics.classification.METRICS`, as far as they are defined; of older versions only top-k."""
    batch_size: int
    batch_invariant: bool | None = None
    """Whether images got the same logits, to the bit, in another place of a batch and alone; None: not measured."""
    batch_distance: float | None = None
    """How far their logits moved, as relative error; None: not measured."""
    predictions: str
    """The Parquet file, beside this record."""
    predictions_sha256: str
    versus: Comparison | None = None
    """Against a reference, by what is right; None without labels, too."""
    agreement: Agreement | None = None
    """With the reference, whatever is right; None in old records, too."""
    early_stopping: EarlyStopping | None = None
    """Of an evaluation that stops as soon as its verdict is certain."""
    doubts: tuple[str, ...] = ()
    """Why another run may give other predictions."""
    notes: tuple[str, ...] = ()
    """What is odd about image files and changes no pixel, with how many there are."""
    suspicions: tuple[Suspicion, ...] = ()
    """What speaks against believing these predictions."""
    unchecked: str = ""
    """Why they were not checked for plausibility; empty where they were, or where an older version wrote this."""
    environment: Environment

    @property
    def labelled(self) -> bool:
        """Whether the images have labels; else nothing is known to be right or wrong."""
        return bool(self.hits)

    @property
    def compared(self) -> Compared | None:
        """The comparison with a reference: by what is right, or, without labels, by agreement."""
        return self.versus or self.agreement

    def accuracy(self, k: int = 1) -> float | None:
        """Top-k accuracy as a fraction 0..1; None where it was not measured, as the images have no labels."""
        return self.hits[min(k, len(self.hits)) - 1] / self.images if self.hits else None

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Version 1 had the times, now in a `Throughput` beside it; version 2 only the counts of top-k as metrics.

        Those before 4 are of labelled images.
        """
        if data.get("schema") == "seatrial/accuracy/3":
            return {**data, "schema": "seatrial/accuracy/4"}
        if data.get("schema") not in ("seatrial/accuracy/1", "seatrial/accuracy/2"):
            return data
        dropped = ("workers", "wall_s", "images_per_s", "top1_interval", "certainty")
        kept = {key: value for key, value in data.items() if key not in dropped}
        match data:
            case {"hits": [*hits], "images": int(images)} if all(isinstance(n, int) and 0 <= n <= images for n in hits):
                kept["metrics"] = {name_top_k(k): estimate_top_k(n, images) for k, n in enumerate(hits, start=1)}
        return {**kept, "early_stopping": data.get("certainty"), "schema": "seatrial/accuracy/4"}


class GateResult(Strict):
    """One gate, judged."""

    gate: str
    engine: str
    outcome: Outcome
    kind: GateKind
    reason: str
    """The figures that decided, in words."""
    expression: str = ""
    """As it was written, where the gate is one; empty of the others, and in old records."""
    value: float | None = None
    """What was judged, in its unit; None where it is no single figure or was not measured, and in old records."""
    low: float | None = None
    """Bounds of the value, with the uncertainty of the limit where it was measured, too; None without an interval."""
    high: float | None = None
    limit: float | None = None
    unit: str = ""
    """Of these: `share` is a fraction 0..1, `points` are percentage points; empty of a ratio, too."""


class Verdict(Record):
    """The judged run: `verdict.json`."""

    schema_: Literal["seatrial/verdict/1"] = Field(default="seatrial/verdict/1", alias="schema")
    recipe: str
    outcome: Outcome
    exit_code: ExitCode
    gates: tuple[GateResult, ...]
    reference: str = ""
    """What the engines were compared with, where it is not torch."""
    run: str = ""
    """`RunManifest.identity` of the run that was judged; empty in old records."""
    evidence: dict[str, str] = Field(default_factory=dict)
    """sha256 of each record that it was judged from, by its path in the run folder."""


class RunManifest(Record):
    """What was requested of a run and where: its `run.json`."""

    schema_: Literal["seatrial/run/1"] = Field(default="seatrial/run/1", alias="schema")
    recipe: dict[str, Any]
    spec: dict[str, Any]
    command: str
    inputs: dict[str, str]
    """sha256 by path. Of a folder of images the hash of its listing: names, sizes, times of change."""
    engines: tuple[str, ...]
    """Names of the engines in the order requested, the reference first."""
    environment: Environment
    checkpoint: str = ""
    """Paths as they were given: of the checkpoint, of the folder of images and of the label file, if there is one."""
    images: str = ""
    labels: str | None = None

    @property
    def identity(self) -> str:
        """What results of this run name it by: card, settings, inputs and engines, but not where or when it ran."""
        return hash_value([self.recipe, self.spec, self.inputs, self.engines])

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Older ones have these paths in their command only."""
        if "images" in data or not isinstance(data.get("command"), str):
            return data
        named = {word: value for word, value in itertools.pairwise(shlex.split(data["command"])) if word[:2] == "--"}
        paths = {name: named[f"--{name}"] for name in ("checkpoint", "images", "labels") if f"--{name}" in named}
        return {**data, **paths}
