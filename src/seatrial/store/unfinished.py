"""Folders in which files are written until they are whole; those of commands that were killed are swept.

Each holds a lock file that its process keeps locked, so another one knows whether that process still lives, also on
another machine that shares the file system.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUFFIX = ".unfinished"
_LOCK = "in-use.lock"
_BEFORE = "before"
"""What the new folder replaces, where the two cannot be exchanged in one step."""
_AT_WORKING_FOLDER, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2).
_CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


@contextmanager
def make_unfinished(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` for what will be renamed to it; whatever is left in it is removed.

    Before, folders that killed commands left beside `path` are removed, and what they had moved aside is put back.

    Raises:
        OSError: it cannot be made.
    """
    sweep(path.parent)
    folder, lock = _make_locked(path)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def _make_locked(path: Path) -> tuple[Path, int]:
    """A new folder and its lock, made again where a sweep of another process took it before it was locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{_shorten(path.name)}.", suffix=SUFFIX, dir=path.parent))
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        except OSError:  # A file system without locks: none of its folders is ever swept.
            return folder, lock
        if (folder / _LOCK).exists():
            return folder, lock
        os.close(lock)


def _shorten(name: str) -> str:
    """A name that leaves room for what is added to it: file systems take 255 bytes."""
    return os.fsdecode(os.fsencode(name)[:200])


def sweep(parent: Path) -> None:
    """Remove the unfinished folders of dead processes in a folder; one that may not be removed stays."""
    with os.scandir(parent) as entries:
        found = [Path(entry.path) for entry in entries if entry.name.endswith(SUFFIX) and entry.name.startswith(".")]
    for folder in found:
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            _remove_empty(folder)
            continue
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            _put_back(folder, parent)
            _remove(folder)
        finally:
            os.close(lock)


def _remove(folder: Path) -> None:
    """Remove an unfinished folder, its lock last: what is left by a process that dies here can be swept."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name != _LOCK:
                os.unlink(entry.path)
        os.unlink(folder / _LOCK)
        folder.rmdir()


def _remove_empty(folder: Path) -> None:
    """Of a process that died before it made its lock, or that is about to, and then makes another folder."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def _put_back(folder: Path, parent: Path) -> None:
    """What was moved aside for something that never took its place."""
    for moved in (folder / _BEFORE).glob("*"):
        if not (parent / moved.name).exists():
            moved.rename(parent / moved.name)


def exchange_folders(new: Path, path: Path) -> None:
    """Put `new`, in an unfinished folder, in the place of the folder `path`, in one step where the system can do it.

    Where it cannot, a command killed between the two steps leaves none at `path`, and the next one that writes beside
    it puts the old one back.

    Raises:
        OSError: one of them cannot be renamed.
    """
    if _exchange(new, path):
        return
    aside = new.parent / _BEFORE / path.name
    aside.parent.mkdir()
    path.rename(aside)
    try:
        new.rename(path)
    except OSError:
        aside.rename(path)
        raise


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names by renameat2(2); False where system or file system has no such call."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if call is None:
        return False
    if call(_AT_WORKING_FOLDER, os.fsencode(one), _AT_WORKING_FOLDER, os.fsencode(other), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(other))
