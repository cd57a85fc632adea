"""The process that talks to Ray: it lists the machines, has actors run chunks, and sends their outcomes.

It is a process of its own because Ray prints what happens on its nodes to stdout, takes over signals, may end its
process when a node goes away, and starts anew most reliably in a new one.
"""

import logging
import os
import socket
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from seatrial.cluster.actor import EvaluatorActor
from seatrial.cluster.messages import ClusterJob, Lost, Node, Placement, Reply, Wish
from seatrial.cluster.placement import LANES, place_actors
from seatrial.data.loading.worker_process import start_process
from seatrial.errors import EngineError, RefusedFile, SeatrialError, shorten
from seatrial.extras import write_install
from seatrial.machine.environment import read_environment

WATCH_S = 1.0
"""Interval at which machines are counted."""
SURVEY_S = 60.0
"""Time for a machine to describe itself."""
DEATH_S = 60.0
"""An actor that is gone may be the first sign of its machine's death: Ray notices that by missing heartbeats."""
RETRIES = 8
"""Of a chunk in one execution. Calls to a dying machine count too, so that it must be more than a few."""


def serve(address: str, wish: Wish, channel: Connection, log: Path) -> None:
    """Connect to the cluster at `address`, send its nodes and the placement of actors on them, wait for a `ClusterJob`,
    and send its replies; None ends it.

    Args:
        log: the file for Ray's own output.
    """
    start_process()
    _redirect_output(log)
    try:
        with _connected(address):
            machines = sorted(_list_nodes(wish.resource), key=lambda node: node.id)
            placement = place_actors(machines, wish)
            # They start while the machines are surveyed and the evaluation is prepared.
            pool = _Pool(placement, wish.resource)
            nodes = tuple(_survey(machines))
            channel.send((nodes, placement))
            for reply in _map_chunks(channel.recv(), pool, nodes):
                channel.send(reply)
            channel.send(None)
    except SeatrialError as error:
        channel.send(error)
    except ImportError as error:
        channel.send(EngineError(f"Ray cannot be used here ({error})", write_install("ray")))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # The receiving process has ended.
    except Exception:
        channel.send(RuntimeError(traceback.format_exc()))


def _redirect_output(log: Path) -> None:
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(target, stream)


@contextmanager
def _connected(address: str) -> Iterator[None]:
    import ray

    alone = {"include_dashboard": False} if address == "local" else {}
    try:
        _check_reachable(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **alone)
    except (OSError, RuntimeError, ValueError) as error:
        where = "on this machine" if address in ("auto", "local") else f"at {address}"
        reason = shorten(str(error))
        joined = "HOST:6379" if address in ("auto", "local") else address
        fix = f"`ray start --head` begins one, `ray start --address={joined}` joins it; run this on one of its machines"
        raise EngineError(f"no Ray cluster can be used {where} ({reason})", fix) from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Open a connection first, as Ray waits long for one that is refused."""
    host, colon, port = address.rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=5).close()


def _list_nodes(resource: str | None) -> Iterator[Node]:
    """The machines that live and have CPUs to give, and the device where one is needed."""
    import ray

    for node in ray.nodes():
        has = node["Resources"]
        devices = None if resource is None else int(has.get(resource, 0))
        if node["Alive"] and has.get("CPU", 0) >= 1 and devices != 0:
            yield Node(node["NodeID"], node["NodeManagerAddress"], int(has["CPU"]), devices)


def _survey(nodes: Sequence[Node]) -> Iterator[Node]:
    """The nodes with the environment of each."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    survey = ray.remote(num_cpus=0, max_retries=1)(read_environment)
    there = [NodeAffinitySchedulingStrategy(node.id, soft=False) for node in nodes]
    surveyed = [survey.options(scheduling_strategy=place).remote() for place in there]
    for node, reference in zip(nodes, surveyed, strict=True):
        try:
            yield replace(node, environment=ray.get(reference, timeout=SURVEY_S))
        except ray.exceptions.RayError as error:
            reason = shorten(str(error).strip().splitlines()[-1], str(error))
            fix = "install the same seatrial there, and look at `ray status`"
            raise EngineError(f"{node.address} of the cluster cannot run seatrial ({reason})", fix) from None


def _map_chunks(job: ClusterJob, pool: "_Pool", nodes: tuple[Node, ...]) -> Iterator[Reply | Lost]:
    """The replies to the chunks, in any order; ends early with `Lost` where a machine went away."""
    from ray.exceptions import RayError

    pool.start(job)
    checked = time.monotonic()
    while pool.is_busy:
        try:
            # Machines are counted also while there are no replies.
            yield from pool.wait(WATCH_S)
        except RayError as error:
            yield _explain(error, nodes)
            return
        if time.monotonic() - checked >= WATCH_S:
            checked = time.monotonic()
            lost = _find_lost(nodes)
            if lost is not None:
                yield lost
                return


class _Pool:
    """Actors that begin before their job is known, and get chunks as soon as they live.

    Plain actors instead of Ray Data: its import and its own actors took as long as all else before the first image.
    """

    def __init__(self, placement: Placement, resource: str | None) -> None:
        import ray

        needs: dict[str, Any] = {}
        if resource is not None:
            needs = {"num_gpus": 1} if resource == "GPU" else {"resources": {resource: 1}}
        begin = ray.remote(EvaluatorActor).options(
            num_cpus=placement.cpus,
            max_concurrency=LANES,
            max_restarts=-1,
            max_task_retries=RETRIES,
            scheduling_strategy="SPREAD",
            **needs,
        )
        actors = [begin.remote() for _ in range(placement.actors)]
        self._starting = {actor.wait_until_alive.remote(): actor for actor in actors}
        self._running: dict[Any, tuple[Any, int]] = {}
        self._left: deque[tuple[int, bytes]] = deque()
        self._brief: Any = None

    def start(self, job: ClusterJob) -> None:
        """Take a job's chunks; `wait` gives them out."""
        import ray

        self._brief = ray.put((job.brief, ray.put(pack_engine(job.engine))))
        self._left = deque(job.chunks.items())

    @property
    def is_busy(self) -> bool:
        """Whether a chunk has no reply yet."""
        return bool(self._left or self._running)

    def wait(self, timeout_s: float) -> Iterator[Reply]:
        """The replies that are there, or come first within a time.

        Raises:
            RayError: an actor died more often than it is begun anew.
        """
        import ray

        done, _ = ray.wait([*self._starting, *self._running], timeout=timeout_s)
        for reference in done:
            content = ray.get(reference)
            if reference in self._starting:
                actor = self._starting.pop(reference)
                # One more waits at the actor, so that no lane is ever idle.
                for _ in range(LANES + 1):
                    self._give_chunk(actor)
            else:
                actor, number = self._running.pop(reference)
                self._give_chunk(actor)
                yield Reply(number, content)

    def _give_chunk(self, actor: Any) -> None:
        if self._left:
            number, chunk = self._left.popleft()
            # In a list, as the actor fetches it once and not with each chunk.
            self._running[actor.predict.remote([self._brief], chunk)] = (actor, number)


def pack_engine(parts: Mapping[str, Path]) -> dict[str, bytes]:
    """The content of an engine folder's files; whoever unpacks them checks that they are the engine's.

    Raises:
        RefusedFile: one cannot be read.
    """
    try:
        return {name: path.read_bytes() for name, path in parts.items()}
    except OSError as error:
        raise RefusedFile(f"{error.filename} cannot be read ({error.strerror})", "compile it again") from None


def _find_lost(nodes: tuple[Node, ...]) -> Lost | None:
    import ray

    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    gone = tuple(node.address for node in nodes if node.id not in alive)
    return Lost(gone) if gone else None


def _explain(error: Exception, nodes: tuple[Node, ...]) -> Lost:
    """The loss of a machine that an error of Ray's is a sign of.

    Raises:
        EngineError: no machine was lost.
        RayTaskError: it is a bug of ours, with the actor's traceback.
    """
    from ray.exceptions import RayTaskError

    if isinstance(error, RayTaskError):
        raise error
    until = time.monotonic() + DEATH_S
    while time.monotonic() < until:
        lost = _find_lost(nodes)
        if lost is not None:
            return lost
        time.sleep(WATCH_S)
    reason = shorten(str(error))
    fix = "memory may have run out: give fewer --actors with more --cpus-per-actor; finished predictions are kept"
    raise EngineError(f"processes of the cluster that ran images died again and again ({reason})", fix)
