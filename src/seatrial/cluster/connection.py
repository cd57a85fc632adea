"""`--cluster ray[:ADDRESS]`: an evaluation's images answered by a Ray cluster."""

import importlib.metadata
import math
import multiprocessing
import pickle
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.closing import Closing
from seatrial.cluster.driver import serve
from seatrial.cluster.messages import Brief, Chunk, Crash, Lost, Node, Outcome, Reply, Seats, Work
from seatrial.cluster.placement import LANES, MOST_WORKERS, describe_seats, find_resource, plan_seats, split_chunks
from seatrial.cluster.versions import find_common
from seatrial.data.images import LabelledImage
from seatrial.engines.base import MANIFEST
from seatrial.errors import EngineError, SeatrialError, UsageError
from seatrial.evaluation.pipeline import AnswerSource
from seatrial.evaluation.stream import Answers
from seatrial.machine.environment import read_environment
from seatrial.progress import Progress, Update
from seatrial.report.numbers import count_of
from seatrial.store.files import hash_file
from seatrial.workflow.evaluate import Evaluation, Sitting

BARREN = 3
"""So many times in a row may machines go away before anything was answered."""
QUIET_S = 60.0
"""If nothing comes for so long, that is told."""
LEAVE_S = 1.5
"""So long has the process that talks to Ray to end, and again where it must be told to."""
QUIET = f"nothing came from the cluster for {QUIET_S:.0f} s: are its CPUs taken? See `ray status`"


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """Which cluster, and how much of it."""

    address: str = "auto"
    """HOST:PORT; `auto`: the one that this machine belongs to; `local`: one that is started here for this command."""
    actors: int | None = None
    """None takes as many as there is room for."""
    cpus_per_actor: int | None = None
    """None takes as many as an actor can make use of."""


def parse_cluster(text: str) -> str:
    """The address in `ray`, `ray:HOST:PORT`, `ray:auto` or `ray:local`.

    Raises:
        UsageError: it is something else.
    """
    name, colon, address = text.strip().partition(":")
    if name != "ray" or (colon and not re.fullmatch(r"auto|local|[^:/\s]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}", address)):
        raise UsageError(f"--cluster {text} is no cluster", "write it like ray, ray:HOST:6379 or ray:local")
    return address or "auto"


class RayCluster(Closing):
    """A Ray cluster that answers: see `workflow.evaluate.Answering`.

    Raises:
        EngineError: Ray is not installed, no cluster can be reached, it has no room, or its machines differ.
    """

    def __init__(self, spec: ClusterSpec, device: str) -> None:
        try:
            importlib.metadata.version("ray")
        except importlib.metadata.PackageNotFoundError:
            raise EngineError("Ray is not installed", "pip install 'seatrial[ray]'") from None
        self._spec, self._resource = spec, find_resource(device)
        self._connect()
        try:
            self._seats = plan_seats(self._nodes, spec.actors, spec.cpus_per_actor)
            self.environment = find_common(self._nodes, read_environment())
        except SeatrialError:
            self.close()
            raise

    def _connect(self) -> None:
        self._link: _Link | None = _Link(self._spec.address, self._resource)
        try:
            self._nodes: tuple[Node, ...] = self._link.hear()
        except BaseException:
            self.close()
            raise

    @property
    def cores(self) -> int:
        """Of each actor, as far as it can make use of them."""
        return min(self._seats.cpus, MOST_WORKERS)

    @property
    def sessions(self) -> int:
        """Actors."""
        return self._seats.actors

    @contextmanager
    def open(self, asked: Evaluation, sitting: Sitting, progress: Progress) -> Iterator[AnswerSource]:
        """Have images answered by the cluster, once: its actors end with what they were given."""
        if asked.spec.until_pp is not None:
            fix = "leave --until-certain or --cluster out: it stops after a few images, each time with new actors"
            raise UsageError("a cluster does not evaluate until a verdict is certain", fix)
        if asked.plan.workers > MOST_WORKERS:
            fix = f"give at most {MOST_WORKERS}, and more --actors"
            raise UsageError(f"--workers {asked.plan.workers} is more than an actor can have", fix)
        begun = time.perf_counter()
        sitting.untried = "" if asked.spec.fake else "a cluster runs each image once, as it is"

        def answer(todo: NDArray[np.int64]) -> Iterator[Answers]:
            for outcome in self._answer(asked, todo, progress):
                sitting.first_answer_s = sitting.first_answer_s or time.perf_counter() - begun
                if outcome.batch is not None:
                    sitting.batch = outcome.batch
                yield from outcome.answers

        yield answer

    def close(self) -> None:
        """Leave the cluster; harmless the second time."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _answer(self, asked: Evaluation, todo: NDArray[np.int64], progress: Progress) -> Iterator[Outcome]:
        """The outcomes of all chunks, each once; those that were with a machine that went away are run again."""
        left = _pack_chunks(asked, todo, self.sessions)
        barren = 0
        while left:
            before = len(left)
            work = Work(self._make_brief(asked), self.sessions, self._resource, left)
            for told in self._run(asked.name, work, progress):
                if isinstance(told, Lost):
                    self._replace_link(told, asked.name, progress)
                    break
                if left.pop(told.number, None) is not None:
                    yield _unpack(told)
            barren = 0 if len(left) < before else barren + 1
            if barren == BARREN:
                raise EngineError("machines of the cluster go away faster than they answer", "see `ray status`")

    def _run(self, name: str, work: Work, progress: Progress) -> Iterator[Reply | Lost]:
        assert self._link is not None
        plan = work.brief.plan
        there = f"{describe_seats(self._seats)} on {count_of(len(self._nodes), 'machine')}"
        lanes = f"{LANES * plan.workers} workers decode, {LANES * plan.callers} batches of {plan.batch_size}"
        progress(Update("evaluate", note=f"{name}: {there}; in each {lanes} are inside the engine"))
        self._link.send(work)
        while True:
            told = self._link.hear(lambda: progress(Update("evaluate", note=QUIET)))
            if told is None:
                return
            yield told

    def _replace_link(self, lost: Lost, name: str, progress: Progress) -> None:
        """Connect anew: what is left is laid out over the machines that are left."""
        gone = ", ".join(lost.addresses)
        progress(Update("evaluate", note=f"{name}: {gone} of the cluster went away; its images are run again"))
        before = self._seats
        self.close()
        self._connect()
        room = plan_seats(self._nodes, None, before.cpus)
        self._seats = Seats(min(room.actors, before.actors), before.cpus)

    def _make_brief(self, asked: Evaluation) -> Brief:
        plan, folder = asked.plan, asked.file.folder.absolute()
        lane = replace(plan, workers=_share(plan.workers), callers=_share(plan.callers))
        chosen = asked.choose_probe()
        # Actors work in other folders.
        probe = replace(chosen, batch=_make_absolute(chosen.batch), others=_make_absolute(chosen.others))
        return Brief(
            folder=folder,
            sha256=hash_file(folder / MANIFEST),
            plan=lane,
            cpus=self._seats.cpus,
            versions=self.environment.versions,
            probe=probe,
            probe_bytes=probe.batch[0].measure()[0],
        )


def _share(count: int) -> int:
    return math.ceil(count / LANES)


def _pack_chunks(asked: Evaluation, todo: NDArray[np.int64], actors: int) -> dict[int, bytes]:
    packed = {}
    for number, indices in split_chunks(todo, asked.plan.batch_size, actors).items():
        chunk = Chunk(number, _make_absolute(asked.spec.images[int(index)] for index in indices), indices)
        packed[number] = pickle.dumps(chunk)
    return packed


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

    def __init__(self, address: str, resource: str | None) -> None:
        self._log = tempfile.NamedTemporaryFile(prefix="seatrial-ray-", suffix=".log")  # noqa: SIM115 (see close)
        spawn = multiprocessing.get_context("spawn")
        self._channel, theirs = spawn.Pipe()
        asked = (address, resource, theirs, Path(self._log.name))
        self._process: BaseProcess = spawn.Process(target=serve, args=asked, name="ray", daemon=True)
        self._ended = False
        self._process.start()
        theirs.close()

    def send(self, work: Work) -> None:
        """Have work done."""
        self._channel.send(work)

    def hear(self, quiet: Callable[[], None] = lambda: None) -> Any:
        """What the process says next; blocks until it does, and calls `quiet` now and then meanwhile.

        Raises:
            SeatrialError: that it met.
            EngineError: it died.
        """
        try:
            while not self._channel.poll(QUIET_S):
                quiet()
            told = self._channel.recv()
        except (EOFError, ConnectionResetError):
            told = EngineError(f"the process that talks to Ray died ({self._read_last_line()})", "run it again")
        if isinstance(told, SeatrialError):
            raise told
        if isinstance(told, Crash):
            raise RuntimeError(told.trace)
        self._ended = told is None
        return told

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
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
