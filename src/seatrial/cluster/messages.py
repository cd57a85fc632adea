"""Messages between the evaluating process, the one that talks to Ray, and the actors."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import LabelledImage
from seatrial.evaluation.batch_dependence import BatchDependence, BatchProbe
from seatrial.evaluation.stream import PredictionBatch, StreamPlan
from seatrial.store.measurement import Environment


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster."""

    id: str
    address: str
    cpus: int
    devices: int | None
    """That the engine can run on, one for each actor; None is an engine that runs on the CPU."""
    environment: Environment | None = None
    """None before the machine was surveyed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the evaluating process would have of a cluster."""

    resource: str | None
    """Ray's name of the device that each actor needs one of; None is the CPU."""
    actors: int | None = None
    """None is as many as there is room for."""
    cpus_per_actor: int | None = None
    """None is as many as an actor can make use of."""
    most_actors: int | None = None
    """Where there is room for more."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How many actors there are, and what each of them takes."""

    actors: int
    cpus: int


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
class ClusterJob:
    """The chunks that the process that talks to Ray spreads over actors."""

    brief: Brief
    chunks: dict[int, bytes]
    """Pickled `Chunk` by number."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The predictions of a chunk."""

    batches: list[PredictionBatch]
    batch: BatchDependence | None
    """Measured with the first chunk alone."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The pickled result of a chunk: an `Outcome`, or the `SeatrialError` that the actor met."""

    number: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Machines went away while they worked."""

    addresses: tuple[str, ...]
