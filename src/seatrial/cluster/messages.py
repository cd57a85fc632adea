"""Messages between the evaluating process and the one that talks to Ray.

What actors alone read, of `work`, is in them as bytes, so that the process between needs nothing that evaluates.
"""

from dataclasses import dataclass
from pathlib import Path

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
class ClusterJob:
    """The chunks that the process that talks to Ray spreads over actors."""

    brief: bytes
    """Pickled `Brief`."""
    engine: dict[str, Path]
    """The files of the engine folder, by their names in it."""
    chunks: dict[int, bytes]
    """Pickled `Chunk` by number."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The pickled result of a chunk: an `Outcome`, or the `SeatrialError` that the actor met."""

    number: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Machines went away while they worked."""

    addresses: tuple[str, ...]
