"""Who has locked a file, without locking it: Linux lists the locks, other systems do not."""

import os
from collections.abc import Mapping
from pathlib import Path

LOCKS = Path("/proc/locks")


def read_locks() -> Mapping[int, tuple[int, ...]]:
    """The processes that hold a `flock`, by the inode of the file; empty where the system does not list them.

    A line is `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF` (proc_locks(5)); one of a process that waits has
    `->` after its number, and is none that holds it.
    """
    found: dict[int, tuple[int, ...]] = {}
    try:
        lines = LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return found
    for words in map(str.split, lines):
        if len(words) > 5 and words[1] == "FLOCK":
            inode = int(words[5].rpartition(":")[2])
            found[inode] = (*found.get(inode, ()), int(words[4]))
    return found


def is_locked(path: Path | str, locks: Mapping[int, tuple[int, ...]]) -> bool:
    """Whether a process that may be looked at holds a lock of the file at `path`.

    Inodes of two file systems may be the same, and the device that the system names is not always the one that it
    gives for the path, so the process's open files are looked at.
    """
    try:
        status = os.stat(path)
    except OSError:
        return False
    return any(_has_open(pid, status) for pid in locks.get(status.st_ino, ()))


def _has_open(pid: int, status: os.stat_result) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        return any(_is_same(f"{folder}/{number}", status) for number in os.listdir(folder))
    except OSError:  # It has ended, or is another user's.
        return False


def _is_same(path: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), status)
    except OSError:  # It was closed meanwhile.
        return False
