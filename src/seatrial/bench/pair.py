"""Two engines of the same images, timed in turns in one process: `python -m seatrial.bench.pair`, a job on stdin.

Turns of a tenth of a second, so that whatever else the machine does falls on both; what counts is how the two differ in
each round. One process shows nothing of how much processes differ: see `CERTAIN`.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from pydantic import PositiveInt

from seatrial.bench.inputs import make_batches, make_random_pixels
from seatrial.bench.measure import Limits, measure
from seatrial.bench.spread import NOISE
from seatrial.bench.timed_work import make_run_batch
from seatrial.bench.worker import explain_memory
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.engines import get_engine
from seatrial.engines.base import EngineFile
from seatrial.machine.isolated_process import PYTHON, call_child, serve_job
from seatrial.metrics.rate import BLOCKS, Bounds, half_width
from seatrial.store.json_text import write_json
from seatrial.strict import Strict

WORKER: tuple[str, ...] = (*PYTHON, "seatrial.bench.pair")
TURN_S = 0.1
PAIR_S = 2 * BLOCKS * TURN_S
"""What all turns take together, but for runs that are longer than a turn."""
CERTAIN = 1 + NOISE
"""A ratio of times whose whole interval is above it is certain: processes of the same engine differ by less."""
_TURN = Limits(warmup_runs=2, warmup_s=0, warmup_budget_s=0, duration_s=TURN_S, min_samples=1)
_WARMUP = Limits(warmup_runs=2, warmup_s=0, warmup_budget_s=TURN_S, duration_s=0, min_samples=1)


class PairJob(Strict):
    """Two engine files for the same device."""

    first: EngineFile
    second: EngineFile
    device: str
    batch_size: PositiveInt


class PairTimes(Strict):
    """Milliseconds of every run of one batch, by round."""

    first_ms: tuple[tuple[float, ...], ...]
    second_ms: tuple[tuple[float, ...], ...]

    @property
    def ratio(self) -> Bounds:
        """How many times as long the first one takes: the interval over the rounds."""
        means = [[float(np.mean(turn)) for turn in turns] for turns in (self.first_ms, self.second_ms)]
        logs = np.log(means[0]) - np.log(means[1])
        center, half = float(logs.mean()), half_width(logs)
        return float(np.exp(center - half)), float(np.exp(center + half))


def run_pair(job: PairJob) -> PairTimes:
    """Time both in a process of its own.

    Raises:
        SeatrialError: one of them cannot be run there.
    """
    what = f"the process that timed {job.first.folder.name} beside {job.second.folder.name}"
    return call_child(WORKER, write_json(job), PairTimes, what, job.device == "cpu")


def measure_pair(fields: Mapping[str, Any]) -> str:
    """One job, measured: `PairTimes` as JSON."""
    job = PairJob.read(fields, "the job")
    with explain_memory(job.batch_size, job.device), ExitStack() as opened:
        runs = [_open(file, job, opened) for file in (job.first, job.second)]
        for run in runs:
            measure(run, _WARMUP)
        turns: tuple[list[tuple[float, ...]], ...] = ([], [])
        for number in range(BLOCKS):
            for which in (0, 1) if number % 2 else (1, 0):
                turns[which].append(measure(runs[which], _TURN).durations_ms)
    return write_json(PairTimes(first_ms=tuple(turns[0]), second_ms=tuple(turns[1])))


def _open(file: EngineFile, job: PairJob, opened: ExitStack) -> Callable[[int], object]:
    """A run of one of the two on a batch of that number."""
    file.verify()
    engine = file.manifest.engine
    session = opened.enter_context(get_engine(engine).open(file, job.device, job.batch_size))
    pipeline = read_pipeline(file.manifest.graph)
    batches = make_batches(make_random_pixels(pipeline), job.batch_size, session.input, pipeline)
    run = make_run_batch(session, engine, False)
    return lambda index: run(batches[index % len(batches)])


if __name__ == "__main__":
    sys.exit(serve_job(measure_pair))
