"""Cores of one machine shared by several processes that each want some for themselves."""

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO


def take_cores(count: int, folder: Path | None = None) -> list[IO[str]]:
    """Keep this process on `count` cores that no other process took so; without as many it stays where it is.

    Ray counts CPUs and hands out none: engines and decoders would take all cores that they see, once for each actor.

    Args:
        folder: where the machine's cores are booked; None is the folder for temporary files.

    Returns:
        What holds the cores: they are free again when these files are closed, or when the process dies.
    """
    if not hasattr(os, "sched_setaffinity"):
        return []
    cores = sorted(os.sched_getaffinity(0))
    if count >= len(cores):
        return []
    taken: dict[int, IO[str]] = {}
    for core in cores:
        held = _lock(folder or Path(tempfile.gettempdir()), core)
        if held is not None:
            taken[core] = held
        if len(taken) == count:
            # Threads that are there already keep the cores they had, unless they are told too.
            for thread in os.listdir("/proc/self/task"):
                os.sched_setaffinity(int(thread), taken)
            return list(taken.values())
    for held in taken.values():
        held.close()
    return []


def _lock(folder: Path, core: int) -> IO[str] | None:
    try:
        file = (folder / f"seatrial-core-{core}.lock").open("w")
    except OSError:
        return None  # Another user's.
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
