"""How actors are laid over machines, and an evaluation over actors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seatrial.cluster.messages import Node, Seats
from seatrial.data.loading.decode_pool import MOST_THREADS
from seatrial.errors import EngineError
from seatrial.report.numbers import count_of

LANES = 2
"""Chunks that an actor works on at a time: the next is decoded while the last batches of one are run."""
MOST_WORKERS = LANES * MOST_THREADS
"""That decode in an actor: more would be processes, begun anew for each chunk."""
CHUNK = 256
"""Images of a chunk at most."""
TURNS = 2
"""Chunks for each lane at least, so that all actors end at about the same time."""
DEVICES = {"cuda": "GPU", "tensorrt": "GPU", "npu": "NPU"}
"""Kinds of device, as in `cuda:0`, and what Ray calls the resource; it shows an actor only its own, as number 0."""


def find_resource(device: str) -> str | None:
    """Ray's name of what an engine for `device` needs one of; None is the CPU.

    Raises:
        EngineError: Ray hands out no such devices.
    """
    kind = device.partition(":")[0]
    if kind != "cpu" and kind not in DEVICES:
        known = ", ".join(("cpu", *DEVICES))
        raise EngineError(f"an engine for {device} cannot be spread over a cluster", f"those for {known} can")
    return DEVICES.get(kind)


def plan_seats(nodes: Sequence[Node], actors: int | None, cpus: int | None) -> Seats:
    """As many actors as asked, or as there is room for; each with the CPUs asked, or as many as it can make use of.

    Raises:
        EngineError: there is no room for them.
    """
    shares = [node.cpus // max(1, node.devices or 1) for node in nodes if node.devices != 0]
    most = max(1, min(MOST_WORKERS, *shares)) if shares else 1
    sizes = range(most, 0, -1) if cpus is None else (cpus,)
    for size in sizes:
        room = sum(count_room(node, size) for node in nodes)
        if room >= (actors or 1):
            return Seats(actors or room, size)
    has = "; ".join(_describe(node) for node in nodes) or "no machine with a CPU to give"
    fix = f"give --actors {room} or less, or fewer --cpus-per-actor" if room else "add machines with `ray start`"
    raise EngineError(f"the cluster has no room for {describe_seats(Seats(actors or 1, size))} ({has})", fix)


def describe_seats(seats: Seats) -> str:
    """As `3 actors of 4 CPUs`."""
    return f"{count_of(seats.actors, 'actor')} of {count_of(seats.cpus, 'CPU')}"


def count_room(node: Node, cpus: int) -> int:
    """Actors of `cpus` CPUs that a machine can hold."""
    room = node.cpus // cpus
    return room if node.devices is None else min(room, node.devices)


def _describe(node: Node) -> str:
    devices = "" if node.devices is None else f", {count_of(node.devices, 'device')}"
    return f"{node.address}: {count_of(node.cpus, 'CPU')}{devices}"


def split_chunks(todo: NDArray[np.int64], batch_size: int, actors: int) -> dict[int, NDArray[np.int64]]:
    """The images in chunks of whole batches, numbered from 0."""
    turns = TURNS * LANES * actors
    wanted = min(CHUNK, -(-len(todo) // turns))
    size = max(1, wanted // batch_size) * batch_size
    return dict(enumerate(todo[at : at + size] for at in range(0, len(todo), size)))
