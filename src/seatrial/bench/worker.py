"""The process that measures one point: `python -m seatrial.bench.worker` takes a job on stdin, answers on stdout.

How it is called and how it tells of errors: see `engines.child`.
"""

import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import PositiveInt

from seatrial.bench.inputs import make_batches, make_random_pixels, read_pixels
from seatrial.bench.measure import Clock, Limits, measure
from seatrial.data.feed import read_feed
from seatrial.engines import get_engine
from seatrial.engines.base import Engine, EngineFile, read_engine, run_padded
from seatrial.engines.child import serve_job
from seatrial.errors import EngineError
from seatrial.store.records import Point
from seatrial.strict import Strict


class Job(Strict):
    """One point to measure."""

    folder: Path
    """The engine folder."""
    device: str
    batch_size: PositiveInt
    streams: PositiveInt = 1
    threads: PositiveInt | None = None
    """Cores that the process may use; None leaves it all there are."""
    images: Path | None = None
    """A `.npy` file of prepared images, uint8 (n, *feed.shape); None feeds random bytes."""
    seed: int = 0
    """Of the random bytes."""
    options: dict[str, str] | None = None
    """Engine options instead of those it was compiled with, such as another number of threads."""
    limits: Limits = Limits()


def main() -> int:
    """Measure the job on stdin; the exit code is 0, or the error's."""
    return serve_job(measure_job)


def measure_job(asked: Mapping[str, Any]) -> str:
    """One job, measured: a `Point` as JSON."""
    job = Job.read(asked, "the job")
    restrict_cores(job.threads)
    file = read_engine(job.folder)
    if job.options is not None:
        file = replace(file, manifest=file.manifest.model_copy(update={"options": job.options}))
    return run_or_refuse(job, file).model_dump_json()


def run_or_refuse(job: Job, file: EngineFile) -> Point:
    """Run the job.

    Raises:
        EngineError: as `run_job`, or the batch does not fit into memory.
    """
    with explain_memory(job.batch_size, job.device):
        return run_job(job, file, get_engine(file.manifest.engine))


@contextmanager
def explain_memory(batch_size: int, device: str) -> Iterator[None]:
    """Say which batch it was that did not fit into memory.

    Raises:
        EngineError: it did not.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch and openvino raise a RuntimeError of their own words where numpy raises MemoryError.
        if isinstance(error, MemoryError) or any(
            word in str(error).lower() for word in ("memory", "bad_alloc", "alloc")
        ):
            raise EngineError(
                f"batch {batch_size} does not fit into memory on {device}", "take a smaller --batch-size"
            ) from None
        raise


def run_job(job: Job, file: EngineFile, engine: Engine, clock: Clock = time.perf_counter) -> Point:
    """Open the engine file, warm it up and time it, each run on the next of many different batches.

    Loading is timed with the SDK's import in it, the file's bytes already in the page cache.

    Raises:
        EngineError: SDK or device is missing.
        DataError: the images are missing, or not what the engine takes.
    """
    feed = read_feed(file.manifest.graph)
    began = clock()
    with engine.open(file, job.device, job.batch_size, job.streams) as session:
        load_s = clock() - began
        spec = session.input
        pixels = read_pixels(job.images, feed) if job.images else make_random_pixels(feed, job.seed)
        batches = make_batches(pixels, job.batch_size, spec, feed, job.streams)
        began = clock()
        run_padded(session, batches[-1])
        first_inference_ms = 1000 * (clock() - began)
        samples = measure(lambda i: run_padded(session, batches[i % len(batches)]), job.limits, job.streams, clock)
    return Point(
        batch_size=job.batch_size,
        streams=job.streams,
        load_s=load_s,
        first_inference_ms=first_inference_ms,
        warmup=samples.warmup + 1,
        steady=samples.steady,
        starts_s=samples.starts_s,
        durations_ms=samples.durations_ms,
        peak_rss_bytes=read_peak_rss(),
    )


def restrict_cores(threads: int | None) -> None:
    """Keep this process, and the threads it will start, to the first `threads` of its cores."""
    if threads is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def read_peak_rss() -> int:
    """The most memory that this process ever held, in bytes, the rotated inputs included."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            # Counted from exec on; getrusage would also count what the parent held when it forked.
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
