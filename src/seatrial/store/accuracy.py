"""What an evaluation stores: accuracy, comparison with a reference, and how fast the set went through."""

from typing import Any, Literal

from pydantic import Field

from seatrial.metrics.classification import Estimate, estimate_top_k, name_top_k
from seatrial.store.measurement import Environment
from seatrial.store.record import Record
from seatrial.strict import Strict

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]
"""Of a gate, and of a verdict."""


class Suspicion(Strict):
    """Something that speaks against believing predictions: see `evaluation.plausibility`."""

    kind: str
    reason: str
    """In words, with the figures."""
    fix: str


class Comparison(Strict):
    """Two engines on the same images, image by image."""

    reference: str
    reference_sha256: str = ""
    """Of the reference's predictions; empty in old records."""
    images: int
    both_right: int
    lost: int
    """Right in the reference, wrong here."""
    gained: int
    """Wrong in the reference, right here."""
    changed: int
    """Images whose first class differs, right or wrong."""
    drop_pp: float
    low_pp: float
    """Lower one-sided 95 % bound of the drop; negative is a gain."""
    high_pp: float
    """Upper one-sided 95 % bound of the drop."""
    confidence: float = 0.95
    """Of each bound, where it is another: a verdict that fell early needs more."""
    p_value: float
    """Exact McNemar test of no difference, two-sided."""
    other_weights: bool = False
    """The two have different weights, so that changed predictions are to be expected."""
    doubts: tuple[str, ...] = ()
    """Why the difference may not be the engine's."""
    suspicions: tuple[Suspicion, ...] = ()
    """What speaks against believing the reference, so that no drop against it proves anything."""


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


class AccuracyRecord(Record):
    """How one engine did on a labelled set: `evaluation/NAME.json`."""

    schema_: Literal["seatrial/accuracy/3"] = Field(default="seatrial/accuracy/3", alias="schema")
    key: str
    name: str
    engine: str
    device: str
    precision: str
    executed: dict[str, int]
    recipe: str
    checkpoint_sha256: str
    graph_sha256: str
    engine_identity: str = ""
    """`EngineManifest.identity` of the engine; empty in old records."""
    preprocess_hash: str
    images_hash: str | None = None
    """Of ids, labels, sizes and times of change: see `data.labels.hash_listing`."""
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
    hits: tuple[int, ...]
    """Images whose label is among the first 1, 2, … 5 classes."""
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

    def accuracy(self, k: int = 1) -> float:
        """Top-k accuracy as a fraction 0..1."""
        return self.hits[min(k, len(self.hits)) - 1] / self.images

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Version 1 had the times, now in a `Throughput` beside it; version 2 only the counts of top-k as metrics."""
        if data.get("schema") not in ("seatrial/accuracy/1", "seatrial/accuracy/2"):
            return data
        dropped = ("workers", "wall_s", "images_per_s", "top1_interval", "certainty")
        kept = {key: value for key, value in data.items() if key not in dropped}
        match data:
            case {"hits": [*hits], "images": int(images)} if all(isinstance(n, int) and 0 <= n <= images for n in hits):
                kept["metrics"] = {name_top_k(k): estimate_top_k(n, images) for k, n in enumerate(hits, start=1)}
        return {**kept, "early_stopping": data.get("certainty"), "schema": "seatrial/accuracy/3"}


_RENAMED = {
    "workers": "decode_workers",
    "callers": "streams",
    "first_answer_s": "first_prediction_s",
    "sittings": "attempts",
}


class Throughput(Record):
    """How fast a whole set was evaluated, from files to stored predictions: `evaluation/NAME.throughput.json`."""

    schema_: Literal["seatrial/throughput/2"] = Field(default="seatrial/throughput/2", alias="schema")
    key: str
    """Of the accuracy record that it belongs to."""
    name: str
    images: int
    wall_s: float
    """From the first file read to the last prediction, without loading the engine but on a cluster; of all attempts."""
    images_per_s: float
    batch_size: int
    decode_workers: int
    """Threads, or processes if many."""
    streams: int
    """Batches inside the engine at a time."""
    sessions: int = 1
    """Engine sessions at a time, each with so many decode workers and streams: one for each actor of a cluster."""
    decode_s: float
    """Decoding time of all decode workers together."""
    run_s: float
    """Time inside the engine of all streams together."""
    first_prediction_s: float
    """From opening the engine file to the first batch's predictions, in the last attempt."""
    attempts: int
    """1 if it was never interrupted."""
    peak_rss_bytes: int

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Version 1 called some of its fields otherwise."""
        if data.get("schema") != "seatrial/throughput/1":
            return data
        return {_RENAMED.get(key, key): value for key, value in data.items()} | {"schema": "seatrial/throughput/2"}
