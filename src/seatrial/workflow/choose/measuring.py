"""What a race measures with, each measurement kept in the run folder so that a stopped race resumes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from seatrial.bench.measure import Limits
from seatrial.bench.open_sessions import OpenJob, OpenPoint
from seatrial.bench.saved_points import SavedPoints
from seatrial.bench.spread import BUSY
from seatrial.bench.sweep import run_worker
from seatrial.bench.worker import Job
from seatrial.closing import Closing
from seatrial.engines.base import EngineFile
from seatrial.errors import EngineError
from seatrial.machine.environment import machine_hash, read_environment
from seatrial.machine.isolated_process import PYTHON
from seatrial.machine.warm_process import WarmProcess
from seatrial.store.files import hash_value
from seatrial.store.measurement import Point
from seatrial.workflow.choose.contenders import Contender, RoundSamples
from seatrial.workflow.tune import set_threads

DURATION_S = 0.3
"""Least time of timing of a fresh process: what processes differ by is seen in many of them, not in long ones."""
SCREEN_S = 0.1
"""Of a look at a setting in a process that stays open."""
SCREEN_WARMUP_S = 0.03
"""Of a look: what is open was warm before, but for its first."""
SHORT_LOOKS = 2
"""After so many, each is longer: few settings are left, and they are harder to tell apart."""
OPEN_SESSIONS = (*PYTHON, "seatrial.bench.open_sessions")
HELD_SHARE, MOST_HELD = 0.25, 4 * 2**30
"""All processes that stay open together may have so much of the free memory, and no more bytes than that."""
MOST_JOB_S = 3600.0
"""Opening an engine may take minutes."""
CONFIRM_S = 1.0
"""Of the process that checks the outputs of what was chosen."""
LEAST_SAMPLES = 3
SCREEN_NUMBER, CONFIRM_NUMBER = 100, 2000
"""The first numbers of measurements that are no round's in fresh processes."""


def list_contenders(candidate: str, device: str, batch_sizes: Sequence[int], cores: int) -> list[Contender]:
    """The settings of a candidate: for each number of streams, which share the cores, the batch sizes.

    On a processor of many cores one stream is also tried on half of them, as two of them may share one core's units.
    """
    powers = [2**i for i in range((2 * cores).bit_length()) if 2**i <= 2 * cores]
    pairs: list[tuple[int, int | None]] = [(streams, None) for streams in powers]
    if device != "cpu":
        pairs = [(streams, None) for streams in (1, 2, 4)]
    elif cores > 2:
        pairs.append((1, cores // 2))
    return [Contender(candidate, size, streams, threads) for streams, threads in pairs for size in sorted(batch_sizes)]


@dataclass(frozen=True, slots=True)
class MeasurementCount:
    """How much was measured."""

    reused: int = 0
    """Measurements of earlier attempts."""
    measured: int = 0
    """Those of this one."""
    processes: int = 0
    """That this one started for them."""


class OpenProcesses(Closing):
    """A process for each candidate that keeps what it opened from round to round, idle while others measure."""

    def __init__(self, candidates: int) -> None:
        """No process yet; they share the memory among so many candidates."""
        free = psutil.virtual_memory().available
        self._held_bytes = int(min(MOST_HELD, HELD_SHARE * free) / max(1, candidates))
        self._running: dict[str, WarmProcess] = {}
        self.started = 0

    def measure(self, candidate: str, job: Job) -> Point:
        """A point of a candidate.

        Raises:
            SeatrialError: of the class that the process raised, also when it was new.
        """
        process = self._running.get(candidate)
        if process is not None and process.is_alive:
            try:
                return self._call(process, job)
            except EngineError:
                # It may be for what is open besides: nothing is in a new one.
                self._end(candidate)
        return self._call(self._start(candidate, job), job)

    def _start(self, candidate: str, job: Job) -> WarmProcess:
        self._end(candidate)
        what = f"the process that keeps {candidate} open"
        self._running[candidate] = WarmProcess(OPEN_SESSIONS, what, on_cpu=job.device == "cpu")
        self.started += 1
        return self._running[candidate]

    def _call(self, process: WarmProcess, job: Job) -> Point:
        return process.call(OpenJob(job=job, held_bytes=self._held_bytes), OpenPoint, MOST_JOB_S).point

    def _end(self, candidate: str) -> None:
        process = self._running.pop(candidate, None)
        if process is not None:
            process.close()

    def close(self) -> None:
        """End all of them."""
        for candidate in tuple(self._running):
            self._end(candidate)


class Measuring(Closing):
    """Measures settings of engines, or finds them measured by an earlier attempt."""

    def __init__(self, folder: Path, images: Path, candidates: int = 1) -> None:
        """Measurements that are kept in a folder.

        Args:
            images: prepared ones (.npy), see `workflow.bench.prepare_pixels`.
            candidates: so many share the memory for what stays open.
        """
        self._folder, self._images = folder, images
        environment = read_environment()
        self._facts = [machine_hash(environment), environment.versions]
        self._saved: dict[tuple[str, int | None], SavedPoints] = {}
        self._open_processes = OpenProcesses(candidates)
        self._fresh = 0
        self._done = 0

    def count(self) -> MeasurementCount:
        """What was measured until now."""
        reused = sum(saved.reused for saved in self._saved.values())
        return MeasurementCount(reused, self._done, self._fresh + self._open_processes.started)

    def screen(self, contender: Contender, file: EngineFile, number: int) -> RoundSamples:
        """A short look at a setting, in the process of its candidate.

        Args:
            number: tells looks at the same setting apart.

        Raises:
            SeatrialError: as `OpenProcesses.measure`.
        """
        duration_s = SCREEN_S * (1 + number // SHORT_LOOKS)
        limits = Limits(
            warmup_runs=2, warmup_s=0, warmup_budget_s=SCREEN_WARMUP_S, duration_s=duration_s, min_samples=LEAST_SAMPLES
        )
        job = self._make_job(contender, file, limits)
        run = partial(self._open_processes.measure, contender.candidate)
        return _take(self._find_or_run(contender, job, SCREEN_NUMBER + number, run))

    def measure(self, contender: Contender, file: EngineFile, number: int, least: int = 0) -> RoundSamples:
        """The durations of a fresh process.

        Args:
            number: tells measurements of the same setting apart.
            least: fewest durations.

        Raises:
            SeatrialError: as `bench.sweep.run_worker`.
        """
        limits = Limits(
            warmup_runs=2,
            warmup_s=0.05,
            warmup_budget_s=2 * DURATION_S,
            duration_s=DURATION_S,
            min_samples=max(LEAST_SAMPLES, least),
        )
        return _take(self._find_or_run(contender, self._make_job(contender, file, limits), number, self._run_fresh))

    def confirm(self, contender: Contender, file: EngineFile) -> RoundSamples:
        """Measure a setting once more, its timed outputs compared with untimed ones.

        Raises:
            ParityError: they are others.
            SeatrialError: as `bench.sweep.run_worker`.
        """
        limits = Limits(warmup_runs=2, warmup_budget_s=CONFIRM_S, duration_s=CONFIRM_S, min_samples=LEAST_SAMPLES)
        job = self._make_job(contender, file, limits).model_copy(update={"check": True})
        return _take(self._find_or_run(contender, job, CONFIRM_NUMBER, self._run_fresh))

    def _make_job(self, contender: Contender, file: EngineFile, limits: Limits) -> Job:
        return Job(
            file=set_threads(file, contender.threads),
            device=file.manifest.device,
            batch_size=contender.batch_size,
            streams=contender.streams,
            images=self._images.resolve(),
            limits=limits,
            check=False,
        )

    def _run_fresh(self, job: Job) -> Point:
        self._fresh += 1
        return run_worker(job)

    def _find_or_run(self, contender: Contender, job: Job, number: int, run: Callable[[Job], Point]) -> Point:
        saved = self._open(contender, job.file)
        point = saved.find(job, number)
        if point is None:
            point = run(job)
            self._done += 1
            saved.save(job, number, point)
        return point

    def _open(self, contender: Contender, file: EngineFile) -> SavedPoints:
        place = (contender.candidate, contender.threads)
        if place not in self._saved:
            manifest = file.manifest
            key = hash_value([manifest.key, manifest.contents, dict(manifest.options), *self._facts])
            threads = "" if contender.threads is None else f"-{contender.threads}-threads"
            saved = SavedPoints(self._folder / f"{contender.candidate}{threads}", key)
            saved.begin(())
            self._saved[place] = saved
        return self._saved[place]

    def close(self) -> None:
        """End the processes that stayed open, and let others measure."""
        self._open_processes.close()
        for saved in self._saved.values():
            saved.close()


def _take(point: Point) -> RoundSamples:
    return RoundSamples(point.durations_ms, quiet=point.others_busy is not None and point.others_busy <= BUSY)
