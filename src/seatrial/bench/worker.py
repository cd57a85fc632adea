"""The process that measures one point: `python -m seatrial.bench.worker`, a job on stdin, a point on stdout.

How it is called and how it reports errors: see `machine.isolated_process`.
"""

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from seatrial.bench.inputs import make_batches, make_fresh, make_random_pixels, read_pixels
from seatrial.bench.measure import Clock, Limits, Samples, keep_running, measure
from seatrial.bench.output_checks import OutputCheck, OutputComparison, time_pairs
from seatrial.bench.timed_work import FileWork, RunBatch, TimedOutput, TimedWork, make_run_batch
from seatrial.data.labels import list_images
from seatrial.data.preprocessing.input_pipeline import InputPipeline, read_pipeline
from seatrial.engines import get_engine
from seatrial.engines.base import Engine, EngineFile, Session, StageTimes
from seatrial.engines.self_test import check_self_test
from seatrial.errors import BatchTooLarge, DataError
from seatrial.machine.conditions import OtherLoad, read_clock
from seatrial.machine.cpu import count_cores
from seatrial.machine.device_use import read_device_use
from seatrial.machine.energy import EnergyMeter, watch_power
from seatrial.machine.isolated_process import serve_job
from seatrial.machine.nvidia import find_gpu
from seatrial.machine.out_of_memory import is_out_of_memory
from seatrial.store.json_text import write_json
from seatrial.store.measurement import ClockRates, Point, Scope, SettingFields
from seatrial.strict import Strict

CHECK_SHARE = 0.1
"""Share of the duration for untimed outputs, and as much for pairs of new and repeated batches."""


class EngineJob(Strict):
    """The engine that a process is to measure, and what it is fed."""

    file: EngineFile
    """Its files are verified again only where they are not as they were."""
    device: str
    batch_size: PositiveInt
    """Most images of one run of the engine."""
    streams: PositiveInt = 1
    images: Path | None = None
    """A `.npy` file of prepared images, uint8 (n, *pipeline.shape); None feeds random bytes."""


class Job(EngineJob, SettingFields):
    """One point to measure."""

    scope: Scope = "host"
    files: Path | None = None
    """The folder of image files that scope e2e reads."""
    limits: Limits = Limits()
    check: bool = True
    """Whether outputs and caching are checked: see `bench.output_checks`."""


def measure_job(fields: Mapping[str, Any]) -> str:
    """One job, measured: a `Point` as JSON."""
    job = Job.read(fields, "the job")
    job.file.verify()
    with explain_memory(job.batch_size, job.device):
        return write_json(run_job(job, get_engine(job.file.manifest.engine)))


@contextmanager
def explain_memory(batch_size: int, device: str) -> Iterator[None]:
    """Name the batch that did not fit into memory.

    Raises:
        BatchTooLarge: it did not.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise BatchTooLarge(
            f"batch {batch_size} does not fit into memory on {device}", "take a smaller --batch-size"
        ) from None


def run_job(job: Job, engine: Engine, clock: Clock = time.perf_counter) -> Point:
    """Open the engine file, warm it up and time it, each run on the next of many different inputs.

    Loading is timed with the SDK's import in it, the file's bytes already in the page cache.

    Raises:
        EngineError: SDK or device is missing.
        UsageError: the engine does not measure the device's times.
        DataError: the images are missing, or not what the engine takes.
        ParityError: timed outputs are not those of an untimed run.
        RefusedFile: the engine is not the one that was compiled.
    """
    file = job.file
    use_before = read_device_use(job.device)
    gpu = find_gpu(job.device)
    used_before = gpu.used_bytes() if gpu else None
    began = clock()
    with engine.open(file, job.device, job.batch_size, job.streams) as session:
        point = measure_session(job, session, clock() - began, clock)
        used_after = gpu.used_bytes() if gpu else None
        # Now, so that the first inference was the first, and no memory counts that a batch of one takes besides.
        check_self_test(session, file, job.batch_size)
    memory = None if used_before is None or used_after is None else max(0, used_after - used_before)
    use_after = read_device_use(job.device)
    return point.model_copy(
        update={"device_memory_bytes": memory, "device_before": use_before, "device_after": use_after}
    )


def measure_session(job: Job, session: Session, load_s: float, clock: Clock = time.perf_counter) -> Point:
    """Warm up and time a session that is open, which took `load_s`.

    Raises:
        SeatrialError: as `run_job`, but for the engine's file.
    """
    manifest = job.file.manifest
    run_batch = make_run_batch(session, manifest.engine, job.scope == "device")
    bench = _Bench(job, session, read_pipeline(manifest.graph), run_batch, clock)
    with contextlib.ExitStack() as closing:
        return bench.run(bench.make_work(closing), load_s, manifest.precision)


class _Bench:
    """One point's measurement on an opened session."""

    def __init__(self, job: Job, session: Session, pipeline: InputPipeline, run_batch: RunBatch, clock: Clock) -> None:
        self._job, self._spec, self._pipeline = job, session.input, pipeline
        self._run_batch, self._clock = run_batch, clock
        self._pixels = read_pixels(job.images, pipeline) if job.images else make_random_pixels(pipeline)
        self._device_times: list[tuple[float, StageTimes]] = []

    def make_work(self, closing: contextlib.ExitStack) -> TimedWork:
        job = self._job
        if job.scope != "e2e":
            batches = make_batches(self._pixels, job.batch_size, self._spec, self._pipeline, job.streams)
            return TimedWork(len(batches), lambda index: self._run_batch(batches[index]))
        files = list_images(job.files) if job.files else []
        if not files:
            raise DataError(f"{job.files or 'no folder'} has no images", "give scope e2e a folder with --images")
        work = FileWork(self._run_batch, files, self._spec, self._pipeline, count_cores())
        closing.callback(work.close)
        return work.rotate(job.batch_size, job.streams)

    def run(self, work: TimedWork, load_s: float, precision: str) -> Point:
        job, clock = self._job, self._clock
        began = clock()
        work.run(work.inputs - 1)
        first_inference_ms = 1000 * (clock() - began)
        check = OutputCheck(precision) if job.check else None
        order = list(range(work.inputs))
        if check:
            budget_s = CHECK_SHARE * job.limits.duration_s
            check.record_references(lambda index: work.run(index)[0], work.inputs, budget_s, clock)
            order = check.order(work.inputs)

        samples, facts = self._time(lambda number: work.run(order[number % len(order)]), order, check)
        checked = self._describe_checks(check.compare()) if check else {}
        return Point(
            batch_size=job.batch_size,
            streams=job.streams,
            scope=job.scope,
            load_s=load_s,
            first_inference_ms=first_inference_ms,
            warmup=len(samples.warmup_ms) + 1,
            warmup_ms=samples.warmup_ms,
            steady=samples.steady,
            precision=job.limits.precision,
            stopped=samples.stopped,
            starts_s=samples.starts_s,
            **self._read_times(samples),
            **checked,
            **facts,
        )

    def _time(
        self, run: Callable[[int], TimedOutput], order: Sequence[int], check: OutputCheck | None
    ) -> tuple[Samples, dict[str, Any]]:
        """The samples, and what the machine did meanwhile."""
        job = self._job

        def on_sample(number: int, start: float, output: TimedOutput) -> None:
            logits, times = output
            if times is not None:
                self._device_times.append((start, times))
            if check:
                check.offer(order[number % len(order)], logits)

        other_load, before, meter = OtherLoad(), read_clock(job.device), EnergyMeter(job.device)
        samples = measure(run, job.limits, job.streams, self._clock, on_sample, meter)
        after, others, peak_rss_bytes = read_clock(job.device), other_load.read(), read_peak_rss()
        watts = watch_power(job.device, lambda is_done: keep_running(run, job.streams, is_done))
        return samples, {
            "peak_rss_bytes": peak_rss_bytes,
            "others_busy": None if others is None else round(others, 4),
            "pace": ClockRates(before_mhz=before[0], after_mhz=after[0], throttled=after[1])
            if before and after
            else None,
            "energy": meter.read(job.batch_size, watts),
        }

    def _read_times(self, samples: Samples) -> dict[str, tuple[float, ...]]:
        """By the host's clock, or in scope device by the device's."""
        if self._job.scope != "device":
            return {"durations_ms": samples.durations_ms}
        times = [times for _, times in sorted(self._device_times, key=lambda entry: entry[0])]
        names = {"durations_ms": "device_ms", "copy_in_ms": "copy_in_ms", "copy_out_ms": "copy_out_ms"}
        return {field: tuple(round(getattr(t, name), 6) for t in times) for field, name in names.items()}

    def _describe_checks(self, comparison: OutputComparison) -> dict[str, Any]:
        job, rng = self._job, np.random.default_rng()

        def make() -> NDArray[Any]:
            return make_fresh(self._pixels, job.batch_size, self._spec, self._pipeline, rng)

        pairs = time_pairs(self._time_ms, make, make(), CHECK_SHARE * job.limits.duration_s, self._clock)
        return {
            "outputs_checked": comparison.checked,
            "outputs_error": comparison.error,
            "outputs_tolerance": comparison.tolerance,
            "outputs_spread": comparison.spread,
            "fresh_ms": pairs[0],
            "repeated_ms": pairs[1],
        }

    def _time_ms(self, batch: NDArray[Any]) -> float:
        start = self._clock()
        _, times = self._run_batch(batch)
        return 1000 * (self._clock() - start) if times is None else times.device_ms


def read_peak_rss() -> int:
    """The most memory that this process ever used, in bytes, the rotated inputs included."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            # Counted from exec on; getrusage would also count what the parent used when it forked.
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(serve_job(measure_job))
