"""The process that talks to Ray: it lists the machines, has chunks mapped by Ray Data, and sends their outcomes.

It is a process of its own because Ray prints what happens on its nodes to stdout, takes over signals, may end its
process when a node goes away, and starts anew most reliably in a new one.
"""

import logging
import os
import queue
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from seatrial.cluster.engine_folder import pack_engine
from seatrial.cluster.evaluator import ChunkMapper
from seatrial.cluster.messages import ClusterJob, Lost, Node, Reply
from seatrial.cluster.placement import LANES
from seatrial.data.loading.worker_process import start_process
from seatrial.engines.base import read_engine
from seatrial.errors import EngineError, SeatrialError, shorten
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


def serve(address: str, resource: str | None, channel: Connection, log: Path) -> None:
    """Connect to the cluster at `address`, send its nodes, wait for a `ClusterJob` and send its replies; None ends it.

    Args:
        log: the file for Ray's own output.
    """
    start_process()
    _redirect_output(log)
    try:
        with _connected(address):
            nodes = tuple(_survey(sorted(_list_nodes(resource), key=lambda node: node.id)))
            channel.send(nodes)
            for reply in _map_chunks(channel.recv(), nodes):
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
    # Takes seconds, while the machines describe themselves.
    import ray.data

    for node, reference in zip(nodes, surveyed, strict=True):
        try:
            yield replace(node, environment=ray.get(reference, timeout=SURVEY_S))
        except ray.exceptions.RayError as error:
            reason = shorten(str(error).strip().splitlines()[-1], str(error))
            fix = "install the same seatrial there, and look at `ray status`"
            raise EngineError(f"{node.address} of the cluster cannot run seatrial ({reason})", fix) from None


def _map_chunks(job: ClusterJob, nodes: tuple[Node, ...]) -> Iterator[Reply | Lost]:
    """The replies to the chunks, in any order; ends early with `Lost` where a machine went away."""
    import ray

    replies: queue.Queue[Reply | BaseException | None] = queue.Queue(maxsize=64)
    packed = ray.put(pack_engine(read_engine(job.brief.folder)))
    threading.Thread(target=_listen, args=(job, packed, replies), daemon=True).start()
    checked = time.monotonic()
    while True:
        try:
            reply = replies.get(timeout=WATCH_S)
            if reply is None:
                return
            if isinstance(reply, BaseException):
                yield _explain(reply, nodes)
                return
            yield reply
        except queue.Empty:
            pass  # Machines are counted also while there are no replies.
        if time.monotonic() - checked >= WATCH_S:
            checked = time.monotonic()
            lost = _find_lost(nodes)
            if lost is not None:
                yield lost
                return


def _listen(job: ClusterJob, packed: Any, replies: "queue.Queue[Reply | BaseException | None]") -> None:
    try:
        for rows in _make_dataset(job, packed).iter_batches(batch_size=None, batch_format="pyarrow"):
            for row in rows.to_pylist():
                replies.put(Reply(row["number"], row["content"]))
        replies.put(None)
    except BaseException as error:
        replies.put(error)


def _make_dataset(job: ClusterJob, packed: Any) -> Any:
    """A block for each chunk, mapped by a pool of actors."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # Waiting for busy CPUs shows a note and is no error.
    context.execution_no_progress_timeout_s = -1
    rows = [{"number": number, "content": content} for number, content in job.chunks.items()]
    pool = ray.data.ActorPoolStrategy(
        size=min(job.actors, len(rows)),
        max_concurrent_calls_per_actor=LANES,
        enable_true_multi_threading=True,
        # One more waits at the actor, so that no lane is ever idle.
        max_tasks_in_flight_per_actor=LANES + 1,
    )
    needs: dict[str, Any] = {}
    if job.resource is not None:
        needs = {"num_gpus": 1} if job.resource == "GPU" else {"resources": {job.resource: 1}}
    return ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        ChunkMapper,
        batch_size=1,
        batch_format="pyarrow",
        compute=pool,
        fn_constructor_args=(job.brief, packed),
        num_cpus=job.brief.cpus,
        max_restarts=-1,
        max_task_retries=RETRIES,
        **needs,
    )


def _find_lost(nodes: tuple[Node, ...]) -> Lost | None:
    import ray

    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    gone = tuple(node.address for node in nodes if node.id not in alive)
    return Lost(gone) if gone else None


def _explain(error: BaseException, nodes: tuple[Node, ...]) -> Lost:
    """The loss of a machine that an error of Ray's is a sign of.

    Raises:
        EngineError: no machine was lost.
    """
    from ray.exceptions import RayError, RayTaskError

    if not isinstance(error, RayError) or isinstance(error, RayTaskError):
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
