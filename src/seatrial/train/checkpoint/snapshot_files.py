"""Where a training's snapshots are, and how they go; without torch, which what is done already starts without."""

import shutil
from pathlib import Path

from seatrial.store.files import remove_file

SNAPSHOT, PREVIOUS, DAMAGED = "snapshot.pt", "snapshot.previous.pt", "snapshot.damaged.pt"


def delete_snapshots(folder: Path) -> None:
    """Remove the snapshots of a training that is done or starts again.

    Raises:
        StorageError: one may not be removed.
    """
    for name in (SNAPSHOT, PREVIOUS, DAMAGED):
        remove_file(folder / name)
    clear_leftovers(folder)


def clear_leftovers(folder: Path) -> None:
    """Remove what a process that was killed while writing a snapshot left behind."""
    for path in folder.glob(f".{SNAPSHOT}.*"):
        shutil.rmtree(path, ignore_errors=True)
