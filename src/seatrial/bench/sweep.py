"""A sweep over scopes, streams and batch sizes, each point measured in fresh processes, round by round."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveInt

from seatrial.bench.inputs import RANDOM_BYTES
from seatrial.bench.measure import Limits
from seatrial.bench.output_checks import check_caching
from seatrial.bench.saved_points import SavedPoints
from seatrial.bench.spread import doubt_device, find_doubts
from seatrial.bench.worker import Job
from seatrial.engines.base import EngineFile, read_engine
from seatrial.engines.engine_folder import probe_engine
from seatrial.errors import EngineError, UsageError
from seatrial.machine.conditions import read_conditions
from seatrial.machine.environment import read_environment
from seatrial.machine.isolated_process import PYTHON, call_child
from seatrial.metrics.latency import Latency
from seatrial.progress import Progress, Update, silent
from seatrial.store.files import hash_file
from seatrial.store.json_text import write_json
from seatrial.store.measurement import Measurement, Point, Scope, Setting, Unmeasured
from seatrial.strict import Strict

WORKER: tuple[str, ...] = (*PYTHON, "seatrial.bench.worker")
GAIN = 1.02
"""A larger batch that gives less than this much more than the best smaller one adds nothing; two, and it is
saturated."""


class SweepSpec(Strict):
    """What to measure of one engine folder."""

    batch_sizes: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1,)
    streams: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1,)
    """Each batch size is measured with each of these numbers of streams."""
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)] = ("host",)
    images: Path | None = None
    """A `.npy` file of prepared images, uint8 (n, *pipeline.shape); None feeds random bytes."""
    files: Path | None = None
    """The folder of image files that scope e2e reads."""
    limits: Limits = Limits()
    processes: PositiveInt = 1
    """Repeats of every point, each in its own process, one whole round after another."""
    stop_when_saturated: bool = False
    """Skip larger batches once two in a row gave no more; goes from small to large."""

    @cached_property
    def images_sha256(self) -> str | None:
        """Of the file of `images`, read once for all engines that the spec is measured on."""
        return hash_file(self.images) if self.images else None


def sweep(
    folder: Path | EngineFile, spec: SweepSpec, progress: Progress = silent, key: str = "", saved: Path | None = None
) -> Measurement:
    """Measure every point of `spec`; blocks until all are done.

    A batch that does not fit into memory, or whose process dies, is listed in the record; the others are measured.

    Args:
        key: the content address under which the caller keeps the record; empty for one that is not to be reused.
        saved: a folder that keeps each point until all are done; points of an earlier attempt with the same key are
            not measured again.

    Raises:
        UsageError: the folder is no engine folder, or none of its files takes a batch size.
        EngineError: SDK or device is missing, or not one point could be measured.
        DataError: the images are missing, or not what the engine takes.
        ParityError: timed outputs are not those of an untimed run, or the engine caches outputs.
    """
    file = probe_engine(read_engine(folder))
    _check_spec(file, spec)
    described = _describe(file, spec, key)
    conditions = read_conditions()
    with SavedPoints(saved, key) as points_saved:
        points, unmeasured = _Sweep(file, spec, points_saved, progress).run()
        points_saved.clear()
    check_caching(file.manifest.engine, points)
    before = f"{points_saved.reused} of its {len(points)} points are of an earlier attempt"
    doubts = (
        *doubt_padding(file, spec.batch_sizes),
        *([f"{before}: the machine may have changed since"] if points_saved.reused else []),
        *find_doubts(points, described.environment, conditions),
    )
    measured = {"points": tuple(points), "unmeasured": unmeasured, "doubts": doubts}
    return described.model_copy(update=measured)


def _describe(file: EngineFile, spec: SweepSpec, key: str) -> Measurement:
    """The record without its samples."""
    manifest = file.manifest
    return Measurement(
        key=key,
        name=file.folder.resolve().name,
        engine=manifest.engine,
        sdk_version=manifest.sdk_version,
        device=manifest.device,
        precision=manifest.precision,
        executed=manifest.executed,
        recipe=manifest.graph.recipe["name"],
        graph_sha256=manifest.graph.sha256,
        engine_identity=manifest.identity,
        preprocess_hash=manifest.graph.preprocess_hash,
        inputs=describe_inputs(spec),
        compile_s=manifest.compile_s,
        points=(),
        doubts=(),
        environment=read_environment(),
    )


def describe_inputs(spec: SweepSpec) -> str:
    """The inputs, by scope where they differ."""
    arrays = f"images of {spec.images}" if spec.images else RANDOM_BYTES
    if "e2e" not in spec.scopes:
        return arrays
    files = f"files of {spec.files}"
    return files if spec.scopes == ("e2e",) else f"{arrays}; scope e2e {files}"


def run_worker(job: Job) -> Point:
    """Measure one point in a fresh process, which ends with this one.

    Raises:
        SeatrialError: of the class that the process raised.
        EngineError: the process died; names the signal and the batch size.
    """
    what = f"the process that measured batch {job.batch_size} on {job.device}"
    return call_child(WORKER, write_json(job), Point, what, on_cpu=job.device == "cpu")


class _Sweep:
    """The points of a spec, measured one after the other."""

    def __init__(self, file: EngineFile, spec: SweepSpec, saved: SavedPoints, progress: Progress) -> None:
        self._spec, self._saved, self._progress = spec, saved, progress
        self._jobs = list_jobs(file, spec)
        self._absent: dict[Setting, Unmeasured] = {}
        self._rates: dict[Setting, float] = {}
        self._facts: dict[str, str] = {}
        self._warned: set[str] = set()

    def run(self) -> tuple[list[Point], tuple[Unmeasured, ...]]:
        """Every point, and why others are missing.

        Raises:
            EngineError: no point could be measured; the error is the first one's.
        """
        points: list[Point] = []
        first_error: EngineError | None = None
        self._saved.begin(self._jobs)
        for number, job in enumerate(self._jobs):
            self._show(number, {"batch": str(job.batch_size)})
            if job.setting in self._absent or self._is_saturated(job):
                continue
            try:
                point = self._saved.find(job, number) or run_worker(job)
            except EngineError as error:
                first_error = first_error or error
                self._absent[job.setting] = _explain_absence(job, error.problem)
                continue
            self._saved.save(job, number, point)
            points.append(point)
            self._warn(point)
            rate = Latency.of(point.durations_ms, point.batch_size, point.streams).images_per_s
            # The first round decides what is saturated, so that later ones repeat the same points.
            self._rates.setdefault(point.setting, rate)
            self._facts = {"images/s": f"{rate:,.1f}"}
        self._show(len(self._jobs), {})
        if first_error and not points:
            raise first_error
        return points, tuple(self._absent.values())

    def _show(self, done: int, facts: dict[str, str]) -> None:
        self._progress(Update("bench", done, len(self._jobs), "points", self._facts | facts))

    def _warn(self, point: Point) -> None:
        """Say at once that the device is not idle: the measurement had better be stopped."""
        for text in doubt_device((point.device_before,)):
            if text not in self._warned:
                self._warned.add(text)
                self._progress(Update("bench", note=f"doubt: batch {point.batch_size}: {text}"))

    def _is_saturated(self, job: Job) -> bool:
        if not self._spec.stop_when_saturated or job.setting in self._rates:
            return False
        scope, streams, batch_size = job.setting
        smaller = [
            rate for (s, n, size), rate in self._rates.items() if (s, n) == (scope, streams) and size < batch_size
        ]
        saturated = is_saturated(smaller)
        if saturated:
            self._absent[job.setting] = _explain_absence(
                job, "left out: two smaller batches in a row gave no more images/s"
            )
        return saturated


def is_saturated(rates: Sequence[float]) -> bool:
    """Whether the last two of the rates of growing batches gave nothing more than the best before each of them."""
    return len(rates) > 2 and all(rates[i] < GAIN * max(rates[:i]) for i in (len(rates) - 2, len(rates) - 1))


def _explain_absence(job: Job, reason: str) -> Unmeasured:
    return Unmeasured(batch_size=job.batch_size, streams=job.streams, scope=job.scope, reason=reason)


def list_jobs(file: EngineFile, spec: SweepSpec) -> list[Job]:
    """All points of a spec, in the order in which they are measured."""
    sizes = sorted(spec.batch_sizes) if spec.stop_when_saturated else spec.batch_sizes
    # Repeats go round by round, so that a change of the machine's speed shows in all points alike.
    return [
        Job(
            file=file,
            device=file.manifest.device,
            batch_size=batch_size,
            streams=streams,
            scope=scope,
            images=spec.images.resolve() if spec.images else None,
            files=spec.files.resolve() if spec.files else None,
            limits=spec.limits,
        )
        for _ in range(spec.processes)
        for scope in spec.scopes
        for streams in spec.streams
        for batch_size in sizes
    ]


def _check_spec(file: EngineFile, spec: SweepSpec) -> None:
    for batch_size in spec.batch_sizes:
        _, built_for = file.pick(batch_size)
        if built_for is not None and built_for < batch_size:
            sizes = ", ".join(str(size) for size in sorted({model.batch_size or 0 for model in file.manifest.files}))
            raise UsageError(
                f"{file.folder} has no file that takes batch {batch_size} (its batch sizes: {sizes})",
                f"compile it with `--batch-size {batch_size}`",
            )
    if "device" in spec.scopes and max(spec.streams) > 1:
        raise UsageError("scope device is measured with one stream", "leave --streams out, or measure --scope host")
    if "e2e" in spec.scopes and spec.files is None:
        raise UsageError("scope e2e reads image files", "give the folder with --images")


def doubt_padding(file: EngineFile, batch_sizes: Sequence[int]) -> list[str]:
    """Which batch sizes run in files that were built for larger ones."""
    built_for = {batch_size: file.pick(batch_size)[1] for batch_size in batch_sizes}
    return [
        f"batch {batch_size}: it ran in a file built for batch {built}, so {1 - batch_size / built:.0%} of the work "
        "was padding; `compile --batch-size` with that size gives its own speed"
        for batch_size, built in built_for.items()
        if built is not None and built > batch_size
    ]
