"""Points of a sweep that is under way, each kept as it comes, so that one that is stopped goes on."""

import shutil
from pathlib import Path

from pydantic import ValidationError

from seatrial.bench.worker import Job
from seatrial.store.files import hash_value, write_text
from seatrial.store.measurement import Point
from seatrial.strict import Strict


class Entry(Strict):
    """One job's point, and which sweep's."""

    key: str
    """Of the sweep: its engine, spec, machine and versions."""
    point: Point


class Ledger:
    """A folder with a file for each job of a sweep; without a folder nothing is kept."""

    def __init__(self, folder: Path | None, key: str) -> None:
        self._folder, self._key = folder, key
        self.found = 0
        """Points that an earlier sitting left."""

    def find(self, job: Job, number: int) -> Point | None:
        """What an earlier sitting of the same sweep measured for its job of that number."""
        if self._folder is None:
            return None
        try:
            entry = Entry.model_validate_json(self._place(self._folder, job, number).read_bytes())
        except (OSError, ValidationError):
            return None
        if entry.key != self._key:
            return None
        self.found += 1
        return entry.point

    def keep(self, job: Job, number: int, point: Point) -> None:
        """Store a point, whole or not at all."""
        if self._folder is not None:
            entry = Entry(key=self._key, point=point)
            write_text(self._place(self._folder, job, number), entry.model_dump_json())

    def clear(self) -> None:
        """Forget everything: the sweep is over."""
        if self._folder is not None and self._folder.exists():
            shutil.rmtree(self._folder)

    @staticmethod
    def _place(folder: Path, job: Job, number: int) -> Path:
        return folder / f"{number:04}-{hash_value(job.model_dump(mode='json'))[:12]}.json"
