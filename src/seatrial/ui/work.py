"""Work that is under way in a folder, or was left unfinished there: found by what it writes, and followed."""

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seatrial.bench.follow import FollowedPoint, SweepFollower
from seatrial.bench.saved_points import LOCK
from seatrial.errors import SeatrialError
from seatrial.evaluation.follow import EvaluationProgress, LedgerFollower
from seatrial.machine.file_locks import is_locked, read_locks
from seatrial.results.find_runs import WORK
from seatrial.results.run_folder import read_records
from seatrial.results.summarise import summarise
from seatrial.store.records import RunManifest
from seatrial.store.summary import RunSummary
from seatrial.train.tracking.follow import TrainingFollower, TrainingProgress
from seatrial.train.tracking.listeners import LOG
from seatrial.workflow.train_spec import RECORD

Kind = Literal["evaluation", "measurement", "training"]
Progress = EvaluationProgress | TrainingProgress | Sequence[FollowedPoint]
Follower = LedgerFollower | SweepFollower | TrainingFollower
QUIET_S = 60.0
"""Seconds without a word after which work that nobody has locked counts as stopped."""


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of work, by what it writes."""

    kind: Kind
    name: str
    """Of the engine, or of the folder that a training writes to."""
    path: Path
    """The file or folder that grows."""
    lock: Path
    """What its process has locked."""


@dataclass(frozen=True, slots=True)
class FollowedWork:
    """Work as it is now."""

    work: Work
    progress: Progress | None
    """None where it has written nothing yet."""
    is_running: bool
    """Whether a process has it locked, as far as the system says."""
    quiet_s: float
    """Seconds since it wrote."""


@dataclass(frozen=True, slots=True)
class FolderWork:
    """Everything in a folder, as it is now."""

    works: tuple[FollowedWork, ...]
    is_run: bool
    is_locked: bool
    """Whether a process works in the folder as a whole, as `seatrial run` and `train` do."""
    summary: RunSummary | None
    """What a run came to so far."""
    command: str
    """That goes on with a run."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is under way, and nothing was left."""
        return not self.works and not self.is_locked

    @property
    def is_running(self) -> bool:
        """Whether any process works here."""
        return self.is_locked or any(each.is_running for each in self.works)


def find_work(folder: Path) -> Iterator[Work]:
    """Unfinished work in a folder; in a run folder at any depth, else in the folder itself."""
    is_run = (folder / "run.json").is_file()
    for place, folders, files in os.walk(folder):
        for name in sorted((*files, *folders)):
            found = _describe_work(Path(place, name)) if WORK.fullmatch(name) else None
            if found is not None:
                yield found
        # Folders in other folders are listed by themselves.
        folders[:] = [name for name in folders if is_run and name != "engines" and not name.startswith(".")]


def _describe_work(path: Path) -> Work | None:
    """The work that writes to this path; None where it is finished, or a link."""
    try:
        status = path.lstat()
    except OSError:  # It has just been finished.
        return None
    if path.name == LOG and stat.S_ISREG(status.st_mode):
        record = path.parent / RECORD
        finished = record.is_file() and record.stat().st_mtime_ns >= status.st_mtime_ns
        return None if finished else Work("training", path.parent.name, path, path.parent / ".lock")
    name = path.stem.removeprefix(".")
    if path.suffix == ".ledger" and stat.S_ISREG(status.st_mode):
        return Work("evaluation", name, path, path)
    if path.suffix == ".points" and stat.S_ISDIR(status.st_mode):
        return Work("measurement", name, path, path / LOCK)
    return None


_FOLLOWERS: Mapping[Kind, Callable[[Path], Follower]] = {
    "evaluation": LedgerFollower,
    "measurement": SweepFollower,
    "training": TrainingFollower,
}


class WorkWatch:
    """Looks at the work in a folder again and again, and reads only what was added."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._followers: dict[Path, Follower] = {}
        self._summary: RunSummary | None = None

    def look(self) -> FolderWork:
        """What there is now."""
        locks = read_locks()
        works = tuple(self._follow(work, locks) for work in find_work(self._folder))
        is_run = (self._folder / "run.json").is_file()
        return FolderWork(
            works=works,
            is_run=is_run,
            is_locked=is_locked(self._folder / ".lock", locks),
            summary=self._summarise() if is_run else None,
            command=_read_command(self._folder) if is_run else "",
        )

    def _follow(self, work: Work, locks: Mapping[int, tuple[int, ...]]) -> FollowedWork:
        if work.path not in self._followers:
            self._followers[work.path] = _FOLLOWERS[work.kind](work.path)
        progress = self._followers[work.path].read()
        return FollowedWork(work, progress, is_locked(work.lock, locks), _measure_quiet(work.path))

    def _summarise(self) -> RunSummary | None:
        if self._summary is None or not self._summary.is_of(self._folder):
            self._summary = None
            try:
                self._summary = summarise(read_records(self._folder))
            except SeatrialError:  # The report says what is wrong.
                return None
        return self._summary


def _read_command(folder: Path) -> str:
    try:
        return RunManifest.load(folder / "run.json").command
    except SeatrialError:
        return ""


def _measure_quiet(path: Path) -> float:
    """Seconds since a file, or any file in a folder, was written."""
    try:
        newest = max(each.stat().st_mtime_ns for each in (path, *(path.iterdir() if path.is_dir() else ())))
    except OSError:  # It has just been finished.
        return 0.0
    return float(max(0, time.time_ns() - newest)) / 1e9
