"""A process that measures one setting of an engine after another and keeps what it opened, to measure it again.

`python -m seatrial.bench.open_sessions`; how it is called: see `machine.warm_process`. Starting a process and opening
an engine take longer than a short look at its speed. While it has no job the process takes no processor time.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pydantic import NonNegativeInt, PositiveInt

from seatrial.bench.measure import Clock
from seatrial.bench.worker import Job, explain_memory, measure_session
from seatrial.closing import Closing
from seatrial.engines import get_engine
from seatrial.engines.base import Session
from seatrial.engines.self_test import check_self_test
from seatrial.machine.warm_process import serve_jobs
from seatrial.store.json_text import write_json
from seatrial.store.measurement import Point
from seatrial.strict import Strict

_Key = tuple[Path, str, tuple[tuple[str, str], ...], str, int, int]


class OpenJob(Strict):
    """A point to measure, and what may stay open beside it."""

    job: Job
    held_bytes: NonNegativeInt
    """A process that has more memory than this closes all sessions before it opens another."""


class OpenPoint(Strict):
    """What was measured, and what the process holds now."""

    point: Point
    sessions: PositiveInt
    memory_bytes: PositiveInt


@dataclass(frozen=True, slots=True)
class _Opened:
    session: Session
    load_s: float


class OpenSessions(Closing):
    """The sessions of a process, one for each setting; on a device that is not the processor one at a time."""

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self._clock = clock
        self._opened: dict[_Key, _Opened] = {}

    def measure(self, held: OpenJob) -> OpenPoint:
        """Measure a point in its session, which is opened where it is not yet.

        Raises:
            SeatrialError: as `bench.worker.run_job`; whatever was open is closed then.
        """
        job = held.job
        try:
            with explain_memory(job.batch_size, job.device):
                opened = self._find(job, held.held_bytes)
                point = measure_session(job, opened.session, opened.load_s, self._clock)
        except Exception:
            self.close()
            raise
        return OpenPoint(point=point, sessions=len(self._opened), memory_bytes=_read_memory())

    def _find(self, job: Job, held_bytes: int) -> _Opened:
        manifest = job.file.manifest
        options = tuple(sorted(manifest.options.items()))
        key = (job.file.folder, manifest.key, options, job.device, job.batch_size, job.streams)
        if key not in self._opened:
            # Memory of a device is seldom enough for many.
            if job.device != "cpu" or _read_memory() > held_bytes:
                self.close()
            self._opened[key] = self._open(job)
        return self._opened[key]

    def _open(self, job: Job) -> _Opened:
        job.file.verify()
        began = self._clock()
        session = get_engine(job.file.manifest.engine).open(job.file, job.device, job.batch_size, job.streams)
        opened = _Opened(session, self._clock() - began)
        try:
            check_self_test(session, job.file, job.batch_size)
        except Exception:
            session.close()
            raise
        return opened

    def close(self) -> None:
        """Close all of them."""
        while self._opened:
            self._opened.popitem()[1].session.close()


def _read_memory() -> int:
    """Bytes of memory that this process has now."""
    return int(psutil.Process().memory_info().rss)


def _begin() -> Any:
    sessions = OpenSessions()
    return lambda fields: write_json(sessions.measure(OpenJob.read(fields, "the job")))


if __name__ == "__main__":
    sys.exit(serve_jobs(_begin))
