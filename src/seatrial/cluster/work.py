"""What actors get, and what comes of it; pickled in the messages of `messages`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import LabelledImage
from seatrial.evaluation.batch_dependence import BatchDependence, BatchProbe
from seatrial.evaluation.stream import PredictionBatch, StreamPlan


@dataclass(frozen=True, slots=True)
class Brief:
    """What an actor gets once, before its chunks."""

    folder: Path
    """The engine folder, absolute."""
    sha256: str
    """Hash of the engine's manifest."""
    plan: StreamPlan
    """Of each of an actor's lanes: see `placement.LANES`."""
    cpus: int
    versions: dict[str, str]
    """Of the software that may move logits."""
    probe: BatchProbe
    """The first images of the evaluation and a few others, enough to see whether batches change the logits."""
    probe_bytes: int
    """Size of the first of them, as the evaluating process sees it."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Images that are run, and where need be run again, together."""

    number: int
    images: tuple[LabelledImage, ...]
    indices: NDArray[np.int64]
    """(n,), theirs in the evaluation."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The predictions of a chunk."""

    batches: list[PredictionBatch]
    batch: BatchDependence | None
    """Measured with the first chunk alone."""
