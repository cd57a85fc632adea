"""Cores of one machine shared by several processes that each want some for themselves."""

import contextlib
import os
import tempfile
from io import FileIO
from pathlib import Path

from seatrial.errors import SeatrialError
from seatrial.store.files import lock_file


def take_cores(count: int, folder: Path | None = None) -> list[FileIO]:
    """Keep this process on `count` cores that no other process took so; without as many it stays where it is.

    Ray counts CPUs and hands out none: engines and decoders would take all cores that they see, once for each actor.

    Args:
        folder: where the machine's cores are booked; None is the folder for temporary files.

    Returns:
        The locks: the cores are free again when these files are closed, or when the process dies.
    """
    if not hasattr(os, "sched_setaffinity"):
        return []
    cores = sorted(os.sched_getaffinity(0))
    if count >= len(cores):
        return []
    taken: dict[int, FileIO] = {}
    for core in cores:
        # Another process may have it, or another user.
        with contextlib.suppress(SeatrialError):
            taken[core] = lock_file((folder or Path(tempfile.gettempdir())) / f"seatrial-core-{core}.lock", "")
        if len(taken) == count:
            # Threads that run already keep their cores unless each is set too.
            for thread in os.listdir("/proc/self/task"):
                os.sched_setaffinity(int(thread), taken)
            return list(taken.values())
    for lock in taken.values():
        lock.close()
    return []
