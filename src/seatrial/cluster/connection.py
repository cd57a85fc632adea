"""`--cluster ray[:ADDRESS]`: an evaluation's images run by a Ray cluster."""

import math
import multiprocessing
import pickle
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.closing import Closing
from seatrial.cluster.driver import serve
from seatrial.cluster.engine_folder import list_parts
from seatrial.cluster.messages import ClusterJob, Lost, Node, Placement, Reply, Wish
from seatrial.cluster.placement import (
    LANES,
    MOST_WORKERS,
    describe_placement,
    find_resource,
    split_chunks,
)
from seatrial.cluster.versions import find_common
from seatrial.cluster.work import Brief, Chunk, Outcome
from seatrial.data.images import LabelledImage
from seatrial.engines.base import MANIFEST
from seatrial.errors import EngineError, SeatrialError, UsageError
from seatrial.evaluation.executor import Evaluation, Observations
from seatrial.evaluation.pipeline import PredictionSource
from seatrial.evaluation.stream import PredictionBatch, StreamPlan
from seatrial.extras import explain_missing
from seatrial.machine.environment import find_version, read_environment
from seatrial.progress import Progress, Update
from seatrial.report.numbers import count_of
from seatrial.store.files import hash_file

BARREN = 3
"""So many times in a row machines may go away before a chunk is finished."""
QUIET_S = 60.0
"""Silence of the cluster after which a note is shown."""
LEAVE_S = 1.5
"""Time for the process that talks to Ray to end by itself, and again after each signal."""
QUIET = f"nothing from the cluster for {QUIET_S:.0f} s: are its CPUs taken? See `ray status`"


def parse_cluster(text: str) -> str:
    """The address in `ray`, `ray:HOST:PORT`, `ray:auto` or `ray:local`.

    Raises:
        UsageError: it is something else.
    """
    name, colon, address = text.strip().partition(":")
    if name != "ray" or (colon and not re.fullmatch(r"auto|local|[^:/\s]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}", address)):
        raise UsageError(f"--cluster {text} is no address of a cluster", "give ray, ray:HOST:6379 or ray:local")
    return address or "auto"


class RayExecutor(Closing):
    """A Ray cluster that runs images: see `evaluation.executor.Executor`.

    Args:
        device: that the engine runs on.
        address: HOST:PORT; `auto`: the cluster of this machine; `local`: one that is started here for this command.
        actors: None takes as many as there is room for.
        cpus_per_actor: None takes as many as an actor can make use of.

    Raises:
        EngineError: Ray is not installed, no cluster can be reached, it has no room, or its machines differ.
    """

    _link: "_Link | None" = None

    def __init__(
        self, device: str, address: str = "auto", actors: int | None = None, cpus_per_actor: int | None = None
    ) -> None:
        if find_version("ray") is None:
            raise explain_missing("ray")
        self._address = address
        try:
            self._connect(Wish(find_resource(device), actors, cpus_per_actor))
            self.environment = find_common(self._nodes, read_environment())
        except BaseException:
            self.close()
            raise

    def _connect(self, wish: Wish) -> None:
        self._wish = wish
        self._link = _Link(self._address, wish)
        nodes, placement = self._link.receive()
        self._nodes: tuple[Node, ...] = nodes
        self._placement: Placement = placement

    @property
    def cores(self) -> int:
        """Cores of each actor, as far as it can use them."""
        return min(self._placement.cpus, MOST_WORKERS)

    @property
    def sessions(self) -> int:
        """Number of actors."""
        return self._placement.actors

    @contextmanager
    def open(
        self, evaluation: Evaluation, observations: Observations, progress: Progress
    ) -> Iterator[PredictionSource]:
        """Connect images to the cluster, once: its actors end with the chunks that they were given."""
        if evaluation.spec.until_pp is not None:
            fix = "leave one of them out: early stopping runs a few images at a time, each time with new actors"
            raise UsageError("--until-certain does not work with --cluster", fix)
        if evaluation.plan.decode_workers > MOST_WORKERS:
            fix = f"give at most {MOST_WORKERS}, and more --actors"
            raise UsageError(f"--workers {evaluation.plan.decode_workers} is more than an actor may have", fix)
        begun = time.perf_counter()
        observations.untried = "" if evaluation.spec.fake else "a cluster runs each image once, as it is"

        def predict(todo: NDArray[np.int64]) -> Iterator[PredictionBatch]:
            for outcome in self._predict_chunks(evaluation, todo, progress):
                observations.first_prediction_s = observations.first_prediction_s or time.perf_counter() - begun
                if outcome.batch is not None:
                    observations.batch = outcome.batch
                yield from outcome.batches

        yield predict

    def close(self) -> None:
        """Leave the cluster; harmless the second time."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _predict_chunks(self, evaluation: Evaluation, todo: NDArray[np.int64], progress: Progress) -> Iterator[Outcome]:
        """The outcomes of all chunks, each once; those of a machine that went away are run again."""
        left = _pack_chunks(evaluation, todo, self.sessions)
        barren = 0
        while left:
            before = len(left)
            job = ClusterJob(pickle.dumps(self._make_brief(evaluation)), list_parts(evaluation.file), left)
            for message in self._run(evaluation, job, progress):
                if isinstance(message, Lost):
                    self._replace_link(message, evaluation.name, progress)
                    break
                if left.pop(message.number, None) is not None:
                    yield _unpack(message)
            barren = 0 if len(left) < before else barren + 1
            if barren == BARREN:
                raise EngineError("machines of the cluster go away before they finish a chunk", "see `ray status`")

    def _run(self, evaluation: Evaluation, job: ClusterJob, progress: Progress) -> Iterator[Reply | Lost]:
        assert self._link is not None
        plan = _make_lane(evaluation.plan)
        there = f"{describe_placement(self._placement)} on {count_of(len(self._nodes), 'machine')}"
        lanes = f"{LANES * plan.decode_workers} decode workers, {LANES * plan.streams} streams"
        each = f"each with {lanes}; batches of {plan.batch_size}"
        progress(Update("evaluate", note=f"{evaluation.name}: {there}, {each}"))
        self._link.send(job)
        while True:
            message = self._link.receive(lambda: progress(Update("evaluate", note=QUIET)))
            if message is None:
                return
            yield message

    def _replace_link(self, lost: Lost, name: str, progress: Progress) -> None:
        """Connect anew, and place the chunks that are left on the machines that are left."""
        gone = ", ".join(lost.addresses)
        progress(Update("evaluate", note=f"{name}: {gone} of the cluster went away; its images are run again"))
        self.close()
        before = self._placement
        self._connect(Wish(self._wish.resource, None, before.cpus, before.actors))

    def _make_brief(self, evaluation: Evaluation) -> Brief:
        folder = evaluation.file.folder.absolute()
        chosen = evaluation.choose_probe()
        # Actors work in other folders.
        probe = replace(chosen, batch=_make_absolute(chosen.batch), others=_make_absolute(chosen.others))
        return Brief(
            folder=folder,
            sha256=hash_file(folder / MANIFEST),
            plan=_make_lane(evaluation.plan),
            cpus=self._placement.cpus,
            versions=self.environment.versions,
            probe=probe,
            probe_bytes=probe.batch[0].measure()[0],
        )


def _make_lane(plan: StreamPlan) -> StreamPlan:
    """The settings of one of an actor's lanes."""
    return replace(plan, decode_workers=math.ceil(plan.decode_workers / LANES), streams=math.ceil(plan.streams / LANES))


def _pack_chunks(evaluation: Evaluation, todo: NDArray[np.int64], actors: int) -> dict[int, bytes]:
    images = evaluation.spec.images
    return {
        number: pickle.dumps(Chunk(number, _make_absolute(images[int(index)] for index in indices), indices))
        for number, indices in split_chunks(todo, evaluation.plan.batch_size, actors).items()
    }


def _make_absolute(images: Iterable[LabelledImage]) -> tuple[LabelledImage, ...]:
    return tuple(replace(image, path=image.path.absolute()) for image in images)


def _unpack(reply: Reply) -> Outcome:
    content = pickle.loads(reply.content)
    if isinstance(content, SeatrialError):
        raise content
    assert isinstance(content, Outcome)
    return content


class _Link:
    """A process of `driver.serve` and the pipe to it."""

    _ended = False

    def __init__(self, address: str, wish: Wish) -> None:
        self._log = tempfile.NamedTemporaryFile(prefix="seatrial-ray-", suffix=".log")  # noqa: SIM115 (see close)
        spawn = multiprocessing.get_context("spawn")
        self._channel, theirs = spawn.Pipe()
        arguments = (address, wish, theirs, Path(self._log.name))
        self._process: BaseProcess = spawn.Process(target=serve, args=arguments, name="ray", daemon=True)
        self._process.start()
        theirs.close()

    def send(self, job: ClusterJob) -> None:
        """Start a job."""
        self._channel.send(job)

    def receive(self, quiet: Callable[[], None] = lambda: None) -> Any:
        """The next message of the process; blocks until there is one, and calls `quiet` now and then meanwhile.

        Raises:
            SeatrialError: that the process raised.
            EngineError: it died.
            RuntimeError: it met a bug; with its traceback.
        """
        try:
            while not self._channel.poll(QUIET_S):
                quiet()
            message = self._channel.recv()
        except (EOFError, ConnectionResetError):
            message = EngineError(f"the process that talks to Ray died ({self._read_last_line()})", "run it again")
        if isinstance(message, Exception):
            raise message
        self._ended = message is None
        return message

    def close(self) -> None:
        """End the process, and what it had begun with it."""
        if self._ended:
            self._process.join(LEAVE_S)
        for end in (self._process.terminate, self._process.kill):
            if self._process.is_alive():
                end()
                self._process.join(LEAVE_S)
        self._channel.close()
        self._log.close()

    def _read_last_line(self) -> str:
        lines = Path(self._log.name).read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it left no message")
