"""Points of a sweep that is under way, each stored as it comes, so that a stopped sweep resumes."""

import shutil
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from seatrial.bench.worker import Job
from seatrial.closing import Closing
from seatrial.foreign.files import read_bytes
from seatrial.store.files import hash_value, lock_file, make_folder, write_text
from seatrial.store.json_text import read_model, write_json
from seatrial.store.measurement import Point, SettingFields
from seatrial.strict import Strict

PLAN, LOCK = "plan.json", ".lock"
"""The jobs of the sweep that is under way, and the file that its process has locked meanwhile."""


class PlannedPoint(SettingFields):
    """A point that is to be measured."""

    file: str
    """Where it is stored when it is there."""


class SweepPlan(Strict):
    """All points of a sweep, in the order in which they are measured; some may be left out in the end."""

    points: tuple[PlannedPoint, ...]


class SavedPoints(Closing):
    """A folder with a file for each job of a sweep; without a folder nothing is stored."""

    def __init__(self, folder: Path | None, key: str) -> None:
        """Points of a sweep; `key` is of its engine, spec, machine and versions."""
        self._folder, self._key = folder, key
        self._lock: FileIO | None = None
        self.reused = 0
        """Points of an earlier attempt."""

    def begin(self, jobs: Sequence[Job]) -> None:
        """Store what is to be measured, for whoever follows it.

        Raises:
            RunInUse: another process measures into the folder.
        """
        if self._folder is None:
            return
        make_folder(self._folder)
        busy = f"another process measures into {self._folder}"
        self._lock = lock_file(self._folder / LOCK, busy, "wait for it, or choose another --output")
        points = (
            PlannedPoint(
                scope=job.scope,
                streams=job.streams,
                batch_size=job.batch_size,
                file=self._path(self._folder, job, number).name,
            )
            for number, job in enumerate(jobs)
        )
        write_text(self._folder / PLAN, write_json(SweepPlan(points=tuple(points))))

    def find(self, job: Job, number: int) -> Point | None:
        """The point that an earlier attempt at the same sweep measured for this job."""
        if self._folder is None:
            return None
        try:
            point = read_model(Point, read_bytes(self._path(self._folder, job, number)))
        except (OSError, ValueError):
            return None
        self.reused += 1
        return point

    def save(self, job: Job, number: int, point: Point) -> None:
        """Store a point, whole or not at all."""
        if self._folder is not None:
            write_text(self._path(self._folder, job, number), write_json(point))

    def clear(self) -> None:
        """Delete everything: the sweep is over."""
        if self._folder is not None and self._folder.exists():
            shutil.rmtree(self._folder)

    def close(self) -> None:
        """Let others measure into the folder; without a point in it it is deleted."""
        if self._lock is None or self._folder is None:
            return
        if self._folder.exists() and {path.name for path in self._folder.iterdir()} <= {PLAN, LOCK}:
            self.clear()
        self._lock.close()
        self._lock = None

    def _path(self, folder: Path, job: Job, number: int) -> Path:
        facts = [self._key, job.model_dump(mode="json", exclude={"file"})]
        return folder / f"{number:04}-{hash_value(facts)[:12]}.json"
