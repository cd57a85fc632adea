"""How actors are placed on machines, and images in chunks on actors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seatrial.cluster.messages import Node, Placement, Wish
from seatrial.data.loading.decode_pool import MOST_THREADS
from seatrial.errors import EngineError
from seatrial.report.numbers import count_of

LANES = 2
"""Chunks that an actor works on at a time: the next is decoded while the last batches of one are run."""
MOST_WORKERS = LANES * MOST_THREADS
"""Decode workers of an actor: more would be processes, started anew for each chunk."""
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
        kinds = ", ".join(("cpu", *DEVICES))
        raise EngineError(f"an engine for {device} cannot be spread over a cluster", f"an engine for {kinds} can")
    return DEVICES.get(kind)


def place_actors(nodes: Sequence[Node], wish: Wish) -> Placement:
    """As many actors as requested, else as there is room for; each with the CPUs requested, else as many as it can use.

    Raises:
        EngineError: there is no room for them.
    """
    actors, cpus = wish.actors, wish.cpus_per_actor
    shares = [node.cpus // max(1, node.devices or 1) for node in nodes if node.devices != 0]
    most = max(1, min(MOST_WORKERS, *shares)) if shares else 1
    sizes = range(most, 0, -1) if cpus is None else (cpus,)
    for size in sizes:
        room = sum(count_room(node, size) for node in nodes)
        if room >= (actors or 1):
            return Placement(actors or min(room, wish.most_actors or room), size)
    has = "; ".join(_describe(node) for node in nodes) or "no machine with a CPU to give"
    fix = f"give --actors {room} or less, or fewer --cpus-per-actor" if room else "add machines with `ray start`"
    raise EngineError(f"the cluster has no room for {describe_placement(Placement(actors or 1, size))} ({has})", fix)


def describe_placement(placement: Placement) -> str:
    """As `3 actors of 4 CPUs`."""
    return f"{count_of(placement.actors, 'actor')} of {count_of(placement.cpus, 'CPU')}"


def count_room(node: Node, cpus: int) -> int:
    """Actors of `cpus` CPUs that a machine has room for."""
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
