"""Where the run folders under a folder are, and where there are traces of work under way; links are not followed."""

import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from seatrial.store.records import Verdict

WORK = re.compile(r"\..+\.(ledger|points)|train\.jsonl")
"""Names of what an evaluation, a measurement and a training keep while they go on."""
SETTLED_NS = 2_000_000_000
"""A folder that has changed no later than this before it was listed may have changed again in the same tick."""


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
    """What a folder that is no run had in it."""

    changed_ns: int
    listed_ns: int
    folders: tuple[str, ...]
    at_work: bool
    has_verdict: bool


class RunFinder:
    """Finds the runs under a folder again and again; what has not changed since is not listed again."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._known: dict[str, _Listing] = {}

    def find(self) -> tuple[list[FoundRun], list[str]]:
        """All runs, and the paths of other folders with work under way or left, both in no order."""
        runs: list[FoundRun] = []
        at_work: list[str] = []
        known: dict[str, _Listing] = {}
        todo = ["."]
        while todo:
            path = todo.pop()
            place = self._locate(path)
            begun_ns = _find_run_file(place)
            if begun_ns is not None:
                runs.append(FoundRun(path, begun_ns))
                continue
            try:
                listing = self._list(path, place)
            except OSError as error:
                if path != "." and not os.path.lexists(place):  # It went away meanwhile.
                    continue
                runs.append(FoundRun(path, reason=f"it cannot be read ({error.strerror})"))
                continue
            known[path] = listing
            if listing.has_verdict and Verdict.stands_at(Path(place) / "verdict.json"):
                runs.append(FoundRun(path))
                continue
            if listing.at_work:
                at_work.append(path)
            todo += (name if path == "." else f"{path}/{name}" for name in listing.folders)
        self._known = known
        return runs, at_work

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
        return _Listing(changed_ns, listed_ns, tuple(folders), at_work, has_verdict)


def _find_run_file(place: str) -> int | None:
    """The time of a run.json that is a file of its own; None where there is none."""
    try:
        status = os.lstat(f"{place}/run.json")
    except OSError:
        return None
    return status.st_mtime_ns if stat.S_ISREG(status.st_mode) else None
