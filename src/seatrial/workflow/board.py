"""`seatrial board`: every run under a folder, side by side."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from seatrial.compare.board import BoardRow, list_rows, mark_front
from seatrial.compare.since import Cell, compare_rows, find_older, name_cell
from seatrial.data.loading.worker_process import start_process
from seatrial.errors import SeatrialError, UsageError
from seatrial.machine.cpu import count_cores
from seatrial.progress import Progress, Update, silent
from seatrial.results.find_runs import RunFinder
from seatrial.results.run_folder import read_records
from seatrial.results.summarise import summarise
from seatrial.store.summary import RunSummary

SEVERAL = 400
"""From so many runs without a summary on they are read by as many processes as there are cores."""
CHUNK = 50
LOOKS = 16
"""Summaries that are looked for at a time: a disk answers many questions at once."""


@dataclass(frozen=True, slots=True)
class Board:
    """All runs under a folder."""

    rows: tuple[BoardRow, ...]
    """In the order of the runs' paths, the engines of each in its own order."""
    runs: int
    unread: int
    """Folders of runs that cannot be read."""
    since: str = ""
    """The older folder, if there is one."""
    gone: tuple[Cell, ...] = ()
    """Model, engine and precision that only the older one has."""


def read_board(folder: Path, since: Path | None = None, progress: Progress = silent) -> Board:
    """Read the records of every run under a folder; nothing is written.

    Raises:
        UsageError: there is no such folder, or no run in it.
    """
    rows = mark_front(_read_rows(folder, progress))
    runs = {row.run for row in rows}
    unread = sum(bool(row.reason) for row in rows)
    if since is None:
        return Board(tuple(rows), len(runs), unread)
    older: dict[Cell, list[BoardRow]] = {}
    for row in _read_rows(since, progress):
        if not row.reason:
            older.setdefault(name_cell(row), []).append(row)
    changed = []
    for done, row in enumerate(rows, start=1):
        found = None if row.reason else find_older(row, older.get(name_cell(row), ()))
        change = compare_rows(row, found, (folder, since)) if isinstance(found, BoardRow) else found
        changed.append(replace(row, change=change))
        progress(Update("compare", done, len(rows), "engines"))
    gone = sorted(older.keys() - {name_cell(row) for row in rows})
    return Board(tuple(changed), len(runs), unread, str(since), tuple(gone))


def _read_rows(folder: Path, progress: Progress) -> list[BoardRow]:
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "give a folder with run folders in it")
    found = sorted((run.path, run.reason) for run in RunFinder(folder, links=True).find()[0])
    if not found:
        raise UsageError(f"{folder} has no run folder in it (none has a run.json)", "`seatrial run` makes one")
    rows: list[BoardRow] = []
    for done, part in enumerate(_read_all(folder, found), start=1):
        rows += part
        progress(Update("board", done, len(found), "runs"))
    return rows


def _read_all(folder: Path, found: Sequence[tuple[str, str]]) -> Iterator[list[BoardRow]]:
    """The rows of each run, in order: of its summary, else of its records."""
    with ThreadPoolExecutor(LOOKS) as pool:
        summaries = list(pool.map(RunSummary.find, [folder / path for path, _ in found]))
    jobs = [(folder, *each) for each, summary in zip(found, summaries, strict=True) if summary is None]
    with _open_pool(len(jobs)) as read:
        rows = read(read_rows, jobs)
        for (path, _), summary in zip(found, summaries, strict=True):
            yield next(rows) if summary is None else list_rows(path, summary)


@contextmanager
def _open_pool(jobs: int) -> Iterator[Callable[..., Iterator[list[BoardRow]]]]:
    """What does so many jobs in order: this process, or several."""
    if jobs < SEVERAL or count_cores() < 2:
        yield map
        return
    # Spawned, as a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count_cores(), context, initializer=start_process) as pool:
        yield partial(pool.map, chunksize=CHUNK)


def read_rows(job: tuple[Path, str, str]) -> list[BoardRow]:
    """The rows of the run at a path under a folder, from its records; one with the reason where they cannot be read."""
    folder, path, reason = job
    if reason:
        return [BoardRow(run=path, reason=reason)]
    try:
        return list_rows(path, summarise(read_records(folder / path)))
    except SeatrialError as error:
        return [BoardRow(run=path, reason=str(error))]
    except Exception as error:  # A foreign folder may hold anything, and must not hide the others.
        return [BoardRow(run=path, reason=f"its records do not make sense ({type(error).__name__}: {error})"[:300])]
