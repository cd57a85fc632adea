"""What passes between the process that asks, the one that talks to Ray, and the actors."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import LabelledImage
from seatrial.evaluation.batch_dependence import BatchDependence, BatchProbe
from seatrial.evaluation.stream import Answers, Plan
from seatrial.store.records import Environment


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster."""

    id: str
    address: str
    cpus: int
    devices: int | None
    """That the engine can run on, one for each actor; None is an engine that runs on the CPU."""
    environment: Environment | None = None
    """None before it was asked."""


@dataclass(frozen=True, slots=True)
class Seats:
    """How many actors there are, and what each of them takes."""

    actors: int
    cpus: int


@dataclass(frozen=True, slots=True)
class Brief:
    """What an actor is told once."""

    folder: Path
    """The engine folder, absolute."""
    sha256: str
    """Of its manifest."""
    plan: Plan
    """Of each of an actor's lanes: see `seats.LANES`."""
    cpus: int
    versions: dict[str, str]
    """Of what moves an answer."""
    probe: BatchProbe
    """The first images of the evaluation and a few others, enough to see whether batches change the answers."""
    probe_bytes: int
    """Size of the first of them, as the process that asks sees it."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Images that are run, and where need be run again, together."""

    number: int
    images: tuple[LabelledImage, ...]
    indices: NDArray[np.int64]
    """(n,), theirs in the evaluation."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the process that talks to Ray is to have done."""

    brief: Brief
    actors: int
    resource: str | None
    """Ray's name of the device that each actor needs one of; None is the CPU."""
    chunks: dict[int, bytes]
    """Pickled `Chunk` by number."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a chunk."""

    answers: list[Answers]
    batch: BatchDependence | None
    """Looked at with the first chunk alone."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an actor said about a chunk, pickled there: an `Outcome`, or the `SeatrialError` that it met."""

    number: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Machines went away while they worked."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Crash:
    """An error of ours."""

    trace: str
