"""What a process keeps open, how much memory it lets that take, and that it is idle without a job."""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from seatrial.bench.measure import Limits
from seatrial.bench.open_sessions import OpenJob, OpenPoint, OpenSessions
from seatrial.bench.worker import Job
from seatrial.engines.base import EngineFile, read_engine
from seatrial.errors import DataError
from seatrial.machine.warm_process import WarmProcess
from seatrial.workflow.choose.measuring import OPEN_SESSIONS
from seatrial.workflow.tune import set_threads

MANY_BYTES = 2**40
IDLE_S = 0.5


@pytest.fixture(params=["onnxruntime", "openvino"])
def file(request: pytest.FixtureRequest, tiny_engines: Path) -> EngineFile:
    return read_engine(tiny_engines / "engines" / request.param)


@pytest.fixture
def sessions() -> Iterator[OpenSessions]:
    with OpenSessions() as opened:
        yield opened


def make_job(file: EngineFile, batch_size: int = 1, streams: int = 1, held_bytes: int = MANY_BYTES) -> OpenJob:
    limits = Limits(warmup_runs=2, warmup_s=0, warmup_budget_s=0.01, duration_s=0.01, min_samples=3)
    job = Job(file=file, device="cpu", batch_size=batch_size, streams=streams, limits=limits, check=False)
    return OpenJob(job=job, held_bytes=held_bytes)


def test_each_setting_is_opened_once(file: EngineFile, sessions: OpenSessions) -> None:
    jobs = [make_job(file), make_job(file, streams=2), make_job(set_threads(file, 1)), make_job(file)]
    points = [sessions.measure(job) for job in jobs]
    assert [point.sessions for point in points] == [1, 2, 3, 3]
    assert points[3].point.load_s == points[0].point.load_s
    assert all(len(point.point.durations_ms) >= 3 for point in points)


def test_with_more_memory_than_it_may_hold_only_the_last_stays_open(file: EngineFile, sessions: OpenSessions) -> None:
    found = [sessions.measure(make_job(file, streams=streams, held_bytes=0)) for streams in (1, 2, 2)]
    assert [point.sessions for point in found] == [1, 1, 1] and found[0].memory_bytes > 0


def test_what_fails_leaves_nothing_open(file: EngineFile, sessions: OpenSessions, tmp_path: Path) -> None:
    job = make_job(file)
    sessions.measure(job)
    with pytest.raises(DataError, match="cannot be read"):
        sessions.measure(job.model_copy(update={"job": job.job.model_copy(update={"images": tmp_path / "none.npy"})}))
    assert sessions.measure(make_job(file, streams=2)).sessions == 1


def test_a_process_without_a_job_takes_no_processor_time(file: EngineFile) -> None:
    with WarmProcess(OPEN_SESSIONS, "the process that tried") as process:
        for streams in (1, 2):
            process.call(make_job(file, streams=streams), OpenPoint, 60)
        child = next(each for each in psutil.Process().children() if OPEN_SESSIONS[-1] in each.cmdline())
        before = child.cpu_times()
        time.sleep(IDLE_S)
        after = child.cpu_times()
    assert (after.user + after.system) - (before.user + before.system) < 0.1 * IDLE_S
