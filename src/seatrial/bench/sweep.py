"""A sweep over batch sizes and streams, each point measured in a fresh process."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveInt, ValidationError

from seatrial.bench.environment import read_conditions, read_environment
from seatrial.bench.measure import Limits
from seatrial.bench.stats import find_doubts
from seatrial.bench.worker import Job
from seatrial.engines.base import EngineFile, read_engine
from seatrial.engines.child import PYTHON, call_child
from seatrial.engines.cpu import count_cores
from seatrial.errors import EngineError, UsageError
from seatrial.metrics.latency import Latency
from seatrial.progress import Progress, Update, silent
from seatrial.store.records import Measurement, Point
from seatrial.strict import Strict

WORKER: tuple[str, ...] = (*PYTHON, "seatrial.bench.worker")


class SweepSpec(Strict):
    """What to measure of one engine folder."""

    batch_sizes: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1,)
    streams: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1,)
    """Each batch size is measured with each of these numbers of concurrent callers."""
    device: str | None = None
    """None takes the one it was compiled for."""
    images: Path | None = None
    """A `.npy` file of prepared images, uint8 (n, *feed.shape); None feeds random bytes."""
    seed: int = 0
    """Of the random bytes."""
    limits: Limits = Limits()
    processes: PositiveInt = 1
    """Repeats of every point, each in its own process, one whole round after another."""
    threads: PositiveInt | None = None
    """Cores that each process may use; None leaves it all there are."""


def sweep(folder: Path, spec: SweepSpec, progress: Progress = silent, key: str = "") -> Measurement:
    """Measure every point of `spec`; blocks until all are done.

    Args:
        key: the content address under which the caller keeps the record; empty for one that is not to be reused.

    Raises:
        UsageError: the folder is no engine folder, none of its files takes a batch size, or there are fewer cores.
        EngineError: SDK or device is missing, or a measuring process died.
        DataError: the images are missing, or not what the engine takes.
    """
    file = read_engine(folder)
    _check_spec(file, spec)
    environment = read_environment()
    if spec.threads is not None:
        environment = environment.model_copy(update={"cores": spec.threads})
    conditions = read_conditions()
    points = _run_all(_list_jobs(file, spec), progress)
    manifest = file.manifest
    return Measurement(
        key=key,
        name=folder.resolve().name,
        engine=manifest.engine,
        device=spec.device or manifest.device,
        precision=manifest.precision,
        executed=manifest.executed,
        recipe=manifest.graph.recipe["name"],
        graph_sha256=manifest.graph.sha256,
        preprocess_hash=manifest.graph.preprocess_hash,
        inputs=f"images of {spec.images}" if spec.images else f"random bytes, seed {spec.seed}",
        points=tuple(points),
        doubts=(*doubt_padding(file, spec.batch_sizes), *find_doubts(points, environment, conditions)),
        environment=environment,
    )


def run_worker(job: Job) -> Point:
    """Measure one point in a fresh process, which ends with this one.

    Raises:
        SeatrialError: of the kind that the process met.
        EngineError: the process died; names the signal and the batch size.
    """
    threads = {} if job.threads is None else {"OMP_NUM_THREADS": str(job.threads)}
    what = f"the process that measured batch {job.batch_size} on {job.device}"
    answer = call_child(WORKER, job.model_dump_json(), what, threads, on_cpu=job.device == "cpu")
    try:
        return Point.model_validate_json(answer)
    except ValidationError:
        raise EngineError(f"{what} gave no measurement but {answer[:80]!r}") from None


def _list_jobs(file: EngineFile, spec: SweepSpec) -> list[Job]:
    # Repeats go round by round, so that a machine that changes its pace shows in all points alike.
    return [
        Job(
            folder=file.folder.resolve(),
            device=spec.device or file.manifest.device,
            batch_size=batch_size,
            streams=streams,
            threads=spec.threads,
            images=spec.images.resolve() if spec.images else None,
            seed=spec.seed,
            limits=spec.limits,
        )
        for _ in range(spec.processes)
        for streams in spec.streams
        for batch_size in spec.batch_sizes
    ]


def _run_all(jobs: list[Job], progress: Progress) -> list[Point]:
    points: list[Point] = []
    facts: dict[str, str] = {}
    for job in jobs:
        progress(Update("bench", len(points), len(jobs), "points", facts | {"batch": str(job.batch_size)}))
        point = run_worker(job)
        points.append(point)
        latency = Latency.of(point.durations_ms, point.batch_size, point.streams)
        facts = {"images/s": f"{latency.images_per_s:,.1f}"}
    progress(Update("bench", len(jobs), len(jobs), "points", facts))
    return points


def _check_spec(file: EngineFile, spec: SweepSpec) -> None:
    for batch_size in spec.batch_sizes:
        _, built_for = file.pick(batch_size)
        if built_for is not None and built_for < batch_size:
            sizes = ", ".join(str(size) for size in sorted({model.batch_size or 0 for model in file.manifest.files}))
            raise UsageError(
                f"{file.folder} has no file that takes batch {batch_size} (its batch sizes: {sizes})",
                f"compile it with `--batch-size {batch_size}`",
            )
    if spec.threads is None:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise UsageError("this system cannot keep a process to some of its cores", "leave the number of threads out")
    if spec.threads > count_cores():
        raise UsageError(f"{spec.threads} threads were asked for, and there are {count_cores()} cores to use")


def doubt_padding(file: EngineFile, batch_sizes: Sequence[int]) -> list[str]:
    """Which batch sizes run in files that were built for larger ones."""
    built_for = {batch_size: file.pick(batch_size)[1] for batch_size in batch_sizes}
    return [
        f"batch {batch_size}: it ran in a file built for batch {built}, so {1 - batch_size / built:.0%} of the work "
        f"was padding; compile it with `--batch-size {batch_size}` for its own speed"
        for batch_size, built in built_for.items()
        if built is not None and built > batch_size
    ]
