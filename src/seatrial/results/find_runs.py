"""Where the run folders under a folder are, and where there are traces of work under way; links are not followed."""

import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from seatrial.store.records import Verdict

WORK = re.compile(r"\..+\.(ledger|points)|train\.jsonl")
"""Names of what an evaluation, a measurement and a training keep while they go on."""
SETTLED_NS = 2_000_000_000
"""A folder that has changed no later than this before it was listed may have changed again in the same tick."""

LOOKS = 16
"""Folders that are looked into at a time: what is not in memory takes a disk a while, and it answers many at once."""
PART = 64
"""Folders that a thread takes at a time; in memory one takes 10 µs."""


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run folder, none of its records read."""

    path: str
    """Seen from the folder that was searched; "." is that one itself."""
    begun_ns: int = 0
    """When its run.json was written, which is the first thing that a run does; 0 where there is none."""
    reason: str = ""
    """Why it cannot be looked into."""


@dataclass(frozen=True, slots=True)
class _Listing:
    """What a folder without a run.json had in it."""

    changed_ns: int
    listed_ns: int
    folders: tuple[str, ...]
    at_work: bool
    is_run: bool
    """By its verdict; older versions wrote no run.json."""


class RunFinder:
    """Finds the runs under a folder again and again; what has not changed since is not listed again.

    Args:
        links: take a link to a run.json for one, too.
    """

    def __init__(self, root: Path, links: bool = False) -> None:
        self._root, self._status = str(root), os.stat if links else os.lstat
        self._known: dict[str, _Listing] = {}

    def find(self) -> tuple[list[FoundRun], list[str]]:
        """All runs, and the paths of other folders with work under way or left, both in no order."""
        runs: list[FoundRun] = []
        at_work: list[str] = []
        known: dict[str, _Listing] = {}
        with ThreadPoolExecutor(LOOKS) as pool:
            level = ["."]
            while level:
                below: list[str] = []
                for path, found in zip(level, self._look_at_all(level, pool), strict=True):
                    if isinstance(found, FoundRun):
                        runs.append(found)
                    elif found is not None:
                        known[path] = found
                        if found.is_run:
                            runs.append(FoundRun(path))
                            continue
                        at_work += [path] if found.at_work else []
                        below += (name if path == "." else f"{path}/{name}" for name in found.folders)
                level = below
        self._known = known
        return runs, at_work

    def _look_at_all(self, paths: Sequence[str], pool: ThreadPoolExecutor) -> Iterator[FoundRun | _Listing | None]:
        """What is at each path, in order; a disk answers many questions at once."""
        parts = [paths[at : at + PART] for at in range(0, len(paths), PART)]
        return chain.from_iterable(pool.map(lambda part: [self._look(path) for path in part], parts))

    def _look(self, path: str) -> FoundRun | _Listing | None:
        """The run at a path, what the folder has where it is none, or None where it went away meanwhile."""
        place = self._locate(path)
        begun_ns = self._find_run_file(place)
        if begun_ns is not None:
            return FoundRun(path, begun_ns)
        try:
            return self._list(path, place)
        except OSError as error:
            if path != "." and not os.path.lexists(place):
                return None
            return FoundRun(path, reason=f"it cannot be read ({error.strerror})")

    def _locate(self, path: str) -> str:
        return self._root if path == "." else f"{self._root}/{path}"

    def _list(self, path: str, place: str) -> _Listing:
        changed_ns = os.stat(place).st_mtime_ns
        known = self._known.get(path)
        if known is not None and known.changed_ns == changed_ns < known.listed_ns - SETTLED_NS:
            return known
        listed_ns, folders = time.time_ns(), list[str]()
        at_work = has_verdict = False
        with os.scandir(place) as entries:
            for entry in entries:
                at_work = at_work or WORK.fullmatch(entry.name) is not None
                has_verdict = has_verdict or entry.name == "verdict.json"
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
        is_run = has_verdict and Verdict.stands_at(Path(place) / "verdict.json")
        return _Listing(changed_ns, listed_ns, tuple(folders), at_work, is_run)

    def _find_run_file(self, place: str) -> int | None:
        """The time of a run.json that is a file; None where there is none."""
        try:
            status = self._status(f"{place}/run.json")
        except OSError:
            return None
        return status.st_mtime_ns if stat.S_ISREG(status.st_mode) else None
