"""Points of a sweep that is under way, each stored as it comes, so that a stopped sweep resumes."""

import shutil
from pathlib import Path

from pydantic import ValidationError

from seatrial.bench.worker import Job
from seatrial.store.files import hash_value, write_text
from seatrial.store.measurement import Point


class SavedPoints:
    """A folder with a file for each job of a sweep; without a folder nothing is stored."""

    def __init__(self, folder: Path | None, key: str) -> None:
        """Points of a sweep; `key` is of its engine, spec, machine and versions."""
        self._folder, self._key = folder, key
        self.reused = 0
        """Points of an earlier attempt."""

    def find(self, job: Job, number: int) -> Point | None:
        """The point that an earlier attempt at the same sweep measured for this job."""
        if self._folder is None:
            return None
        try:
            point = Point.model_validate_json(self._path(self._folder, job, number).read_bytes())
        except (OSError, ValidationError):
            return None
        self.reused += 1
        return point

    def save(self, job: Job, number: int, point: Point) -> None:
        """Store a point, whole or not at all."""
        if self._folder is not None:
            write_text(self._path(self._folder, job, number), point.model_dump_json())

    def clear(self) -> None:
        """Delete everything: the sweep is over."""
        if self._folder is not None and self._folder.exists():
            shutil.rmtree(self._folder)

    def _path(self, folder: Path, job: Job, number: int) -> Path:
        facts = [self._key, job.model_dump(mode="json", exclude={"file"})]
        return folder / f"{number:04}-{hash_value(facts)[:12]}.json"
