"""The runs under a folder: found anew at each request, their figures kept in memory and checked before they are shown.

What is kept of a run names size and time of change of each record and file of predictions that it is of, as
`summary.json` does. Where one has changed, or is there or gone, the run is read again: what is shown is never of
records that are no longer there.
"""

import os
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from seatrial.compare.board import list_rows
from seatrial.errors import RefusedFile, SeatrialError
from seatrial.machine.file_locks import is_locked, read_locks
from seatrial.results.find_runs import FoundRun, RunFinder
from seatrial.results.run_folder import read_records
from seatrial.results.summarise import summarise
from seatrial.store.records import Outcome
from seatrial.store.summary import RunSummary
from seatrial.ui.folders import check_links

PATIENCE_S = 0.4
"""Time for reading runs within one request; what is left is read meanwhile, and the page says how many."""

READS = 8
"""Runs that are read at a time: of files that are not in memory a disk reads many at once."""


@dataclass(frozen=True, slots=True)
class EngineFigure:
    """What one engine reached, with its interval where there is one."""

    engine: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as the list shows it; of one that cannot be read only where it is, and why."""

    path: str
    """Seen from the folder of runs."""
    begun_ns: int = 0
    title: str = ""
    model: str = ""
    outcome: Outcome | None = None
    engines: tuple[str, ...] = ()
    top1: EngineFigure | None = None
    """Of the engine that the others are compared with, as a fraction."""
    drop_pp: EngineFigure | None = None
    """The largest, in points."""
    images_per_s: EngineFigure | None = None
    """The best rate of all engines."""
    has_labels: bool = True
    reason: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row, and the records that it is of: path, size and time of change, or no size where there was none."""

    row: RunRow
    sources: tuple[tuple[str, int | None, int], ...]

    def is_of(self, folder: str) -> bool:
        """Whether the records are as they were."""
        # Written out: of ten thousand runs these are 140,000 files.
        for path, size, ns in self.sources:
            try:
                status = os.stat(f"{folder}/{path}")
            except OSError:
                if size is not None:
                    return False
                continue
            if status.st_mtime_ns != ns or status.st_size != size:
                return False
        return True


def _measure(path: str) -> tuple[int | None, int]:
    try:
        status = os.stat(path)
    except OSError:
        return None, 0
    return status.st_size, status.st_mtime_ns


class RunIndex:
    """What is known of the runs under a folder; several threads may ask at once."""

    def __init__(self, root: Path) -> None:
        self._root, self._finder = root, RunFinder(root)
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None
        self._stopped = threading.Event()

    def find(self) -> tuple[list[FoundRun], list[str]]:
        """The runs that there are now, and other folders with work under way: see `RunFinder.find`."""
        with self._lock:
            found, at_work = self._finder.find()
        there = {run.path for run in found}
        for path in [path for path in list(self._entries) if path not in there]:
            self._entries.pop(path, None)
        return found, at_work

    def look(self, found: FoundRun) -> RunRow | None:
        """The run as it is known, if that is of its records of now; None where it has to be read."""
        if found.reason:
            return RunRow(found.path, reason=found.reason)
        entry = self._entries.get(found.path)
        if entry is None or not entry.is_of(self._place(found)):
            return None
        row = entry.row
        return row if row.begun_ns == found.begun_ns else replace(row, begun_ns=found.begun_ns)

    def read(self, found: FoundRun) -> RunRow:
        """The run as it is now, from what is known of it or from its records."""
        known = self.look(found)
        if known is not None:
            return known
        folder = self._place(found)
        row, summary = _read_row(found, Path(folder), self._root)
        if summary is None:
            # It is kept too, until anything in its folder changes; read once more, as it may have been mended just now.
            entry = _Entry(row, tuple(list_files(folder)))
            row, summary = _read_row(found, Path(folder), self._root)
        else:
            entry = _Entry(row, tuple((path, *_measure(f"{folder}/{path}")) for path in summary.list_sources()))
        # Looked at after it was measured, so that what changed in between is not taken for what was read.
        if entry.row == row and (summary is None or summary.is_of(Path(folder))):
            self._entries[found.path] = entry
        return row

    def check(self, row: RunRow) -> RunRow:
        """The row as it may be shown: without figures where a link in the run leads out of the folder of runs.

        Asked for those that are shown alone: a link that was put there since changes neither size nor time of a record.
        """
        if row.reason:
            return row
        try:
            check_links(self._root / row.path, self._root)
        except RefusedFile as error:
            return RunRow(row.path, row.begun_ns, reason=str(error))
        return row

    def read_within(self, wanted: Sequence[FoundRun]) -> dict[str, RunRow]:
        """Rows by path, of all runs that are known or read in `PATIENCE_S`; the others are read from now on."""
        rows, left = {}, []
        for found in wanted:
            row = self.look(found)
            if row is None:
                left.append(found)
            else:
                rows[found.path] = row
        deadline = time.monotonic() + PATIENCE_S
        with ThreadPoolExecutor(READS) as pool:
            while left and time.monotonic() < deadline:
                some, left = left[:READS], left[READS:]
                rows |= zip((found.path for found in some), pool.map(self.read, some), strict=True)
        self._read_on(left)
        return rows

    def _read_on(self, left: list[FoundRun]) -> None:
        """Read runs in the background, unless that goes on already."""
        with self._lock:
            if not left or self._stopped.is_set() or (self._reader is not None and self._reader.is_alive()):
                return
            self._reader = threading.Thread(target=self._read_all, args=(left,), daemon=True)
            self._reader.start()

    def _read_all(self, left: list[FoundRun]) -> None:
        for found in left:
            if self._stopped.is_set():
                return
            self.read(found)

    def list_choices(self, most: int) -> dict[str, list[str]]:
        """Models and engines of the runs that were read so far; none of those that are too many to choose from."""
        rows = [entry.row for entry in list(self._entries.values())]
        choices = {"model": {row.model for row in rows}, "engine": {name for row in rows for name in row.engines}}
        return {name: sorted(values - {""}) if len(values) <= most else [] for name, values in choices.items()}

    def close(self) -> None:
        """Read nothing more."""
        self._stopped.set()

    def _place(self, found: FoundRun) -> str:
        return str(self._root) if found.path == "." else f"{self._root}/{found.path}"


def list_files(folder: str) -> Iterator[tuple[str, int | None, int]]:
    """Every file and folder in a folder, by its path seen from there, with size and time of change."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files, "."):
            path = os.path.relpath(f"{place}/{name}", folder)
            yield path, *_measure(f"{folder}/{path}")


def _read_row(found: FoundRun, folder: Path, root: Path) -> tuple[RunRow, RunSummary | None]:
    """A run's row and what it was made of; only why where it cannot be read."""
    try:
        check_links(folder, root)
        summary = RunSummary.find(folder) or summarise(read_records(folder))
        return _make_row(found, summary), summary
    except SeatrialError as error:
        reason = str(error)
    except Exception as error:  # A foreign folder may hold anything, and must not hide the others.
        reason = f"its records do not make sense ({type(error).__name__}: {error})"[:300]
    return RunRow(found.path, found.begun_ns, reason=reason), None


def _make_row(found: FoundRun, summary: RunSummary) -> RunRow:
    rows = list_rows(found.path, summary)
    reference = next((row.engine for row in rows if row.engine.name == summary.reference), None)
    drops = [
        EngineFigure(row.engine.name, row.engine.drop_pp, row.engine.drop_low_pp, row.engine.drop_high_pp)
        for row in rows
        if row.engine.drop_pp is not None
    ]
    rates = [
        EngineFigure(row.engine.name, best.images_per_s, best.low, best.high) for row in rows if (best := row.best)
    ]
    top1 = None
    if reference is not None and reference.top1 is not None:
        top1 = EngineFigure(reference.name, reference.top1, reference.top1_low, reference.top1_high)
    return RunRow(
        path=found.path,
        begun_ns=found.begun_ns,
        title=summary.title,
        model=summary.origin or summary.recipe,
        outcome=summary.outcome,
        engines=tuple(row.engine.name for row in rows),
        top1=top1,
        drop_pp=max(drops, key=lambda figure: figure.value, default=None),
        images_per_s=max(rates, key=lambda figure: figure.value, default=None),
        has_labels=reference is None or not reference.images or top1 is not None,
    )


def find_running(root: Path, found: Collection[FoundRun]) -> frozenset[str]:
    """Paths of the runs in whose folder a process works now, as far as the system says who has locked what."""
    locks: Mapping[int, tuple[int, ...]] = read_locks()
    return frozenset(_list_locked(root, found, locks)) if locks else frozenset()


def _list_locked(root: Path, found: Collection[FoundRun], locks: Mapping[int, tuple[int, ...]]) -> Iterator[str]:
    for run in found:
        if is_locked(f"{root}/{run.path}/.lock", locks):
            yield run.path
