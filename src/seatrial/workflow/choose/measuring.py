"""The short processes that a race measures with, each kept in the run folder so that a stopped race resumes."""

from collections.abc import Sequence
from pathlib import Path

from seatrial.bench.measure import Limits
from seatrial.bench.saved_points import SavedPoints
from seatrial.bench.spread import BUSY
from seatrial.bench.sweep import run_worker
from seatrial.bench.worker import Job
from seatrial.closing import Closing
from seatrial.engines.base import EngineFile
from seatrial.machine.environment import machine_hash, read_environment
from seatrial.store.files import hash_value
from seatrial.store.measurement import Point
from seatrial.workflow.choose.race import Contender, RoundSamples
from seatrial.workflow.tune import set_threads

DURATION_S = 0.3
"""Least time of timing of a process of the race: what processes differ by is seen in many of them, not in long ones."""
CONFIRM_S = 1.0
"""Of the process that checks the outputs of what was chosen."""
LEAST_SAMPLES = 3
CONFIRM_NUMBER = 2000


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


class Measuring(Closing):
    """Measures settings of engines, each in a fresh process, or finds them measured by an earlier attempt."""

    def __init__(self, folder: Path, images: Path) -> None:
        """Measurements that are kept in a folder.

        Args:
            images: prepared ones (.npy), see `workflow.bench.prepare_pixels`.
        """
        self._folder, self._images = folder, images
        environment = read_environment()
        self._facts = [machine_hash(environment), environment.versions]
        self._saved: dict[tuple[str, int | None], SavedPoints] = {}
        self.done = 0
        """Processes of this attempt."""

    @property
    def reused(self) -> int:
        """Measurements of earlier attempts."""
        return sum(saved.reused for saved in self._saved.values())

    def measure(self, contender: Contender, file: EngineFile, number: int, least: int = 0) -> RoundSamples:
        """The durations of one process.

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
        point = self._find_or_run(contender, file, number, limits, check=False)
        busy = point.others_busy
        return RoundSamples(point.durations_ms, quiet=busy is not None and busy <= BUSY)

    def confirm(self, contender: Contender, file: EngineFile) -> None:
        """Measure a setting once more, its timed outputs compared with untimed ones.

        Raises:
            ParityError: they are others.
            SeatrialError: as `bench.sweep.run_worker`.
        """
        limits = Limits(warmup_runs=2, warmup_budget_s=CONFIRM_S, duration_s=CONFIRM_S, min_samples=LEAST_SAMPLES)
        self._find_or_run(contender, file, CONFIRM_NUMBER, limits, check=True)

    def _find_or_run(self, contender: Contender, file: EngineFile, number: int, limits: Limits, check: bool) -> Point:
        file = set_threads(file, contender.threads)
        job = Job(
            file=file,
            device=file.manifest.device,
            batch_size=contender.batch_size,
            streams=contender.streams,
            images=self._images.resolve(),
            limits=limits,
            check=check,
        )
        saved = self._open(contender, file)
        point = saved.find(job, number)
        if point is None:
            point = run_worker(job)
            self.done += 1
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
        """Let others measure."""
        for saved in self._saved.values():
            saved.close()
