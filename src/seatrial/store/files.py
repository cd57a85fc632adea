"""Files that are whole or absent, locked by one process, and identified by their content."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Any, Self

from seatrial.errors import NO_DESCRIPTORS, RunInUse, SeatrialError, StorageError, UsageError, too_many_open
from seatrial.foreign.files import open_regular, read_bytes
from seatrial.store.command_line import join_words
from seatrial.store.unfinished import exchange_folders, make_unfinished

_HOLDER_BYTES = 1000
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_HOME = Path("/nonexistent")
"""Where systems put the home of users who have none: nothing can be read or written there."""
STORAGE_ERRORS = (*NO_SPACE, *NOT_ALLOWED, errno.EFBIG, *NO_DESCRIPTORS)
"""Errors of the operating system when a file cannot be stored."""


def describe_os_error(error: OSError, path: Path) -> StorageError:
    """The storage error for a user, from what the operating system refused at `path`."""
    where = error.filename or path
    if error.errno in NO_DESCRIPTORS:
        return too_many_open()
    if error.errno in NO_SPACE:
        usage = shutil.disk_usage(next(p for p in (path, *path.absolute().parents) if p.exists()))
        return StorageError(f"no space left to write {where} ({usage.free:,} bytes free)", "make room and run again")
    if error.errno in NOT_ALLOWED:
        return StorageError(f"{where} may not be written ({error.strerror})", "choose another --output")
    # numpy reports a write that was cut short by an error without a number.
    words = error.strerror or (error.args[0] if error.args else error)
    return StorageError(f"{where} cannot be written ({words})", "choose another --output")


def expand_home(path: str) -> Path:
    """A path with the home folder for its `~`; below `NO_HOME` for a user who has none, as in many containers."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return NO_HOME / path.removeprefix("~").lstrip("/")


def caches_folder() -> Path:
    """`$XDG_CACHE_HOME`: where programs keep what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or expand_home("~/.cache"))


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/seatrial`: what seatrial keeps there."""
    return caches_folder() / "seatrial"


def check_room(folder: Path, size_bytes: int) -> None:
    """Check that a file of so many bytes can be stored in a folder, by taking the room for one.

    Raises:
        StorageError: it cannot; says how many bytes are free.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(1, size_bytes))
        except OSError as error:
            if error.errno in STORAGE_ERRORS:
                free = shutil.disk_usage(folder).free
                problem = f"{size_bytes:,} bytes cannot be written to {folder} ({error.strerror}; {free:,} bytes free)"
                raise StorageError(problem, "make room, or choose another --output") from None


def make_folder(path: Path) -> Path:
    """Create `path` with its parents.

    Raises:
        StorageError: there is a file, or the folder may not be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise describe_os_error(error, path) from None
    return path


@contextmanager
def replacing(path: Path, flush: bool = True, companions: Sequence[str] = ()) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the place of `path` only if the block ends well.

    The bytes are on disk (fsync) before the rename, so a crash leaves the old file or the new one.
    Works for a folder too, when the block makes one of the yielded path; a file never replaces a folder.
    A manifest that the block writes at `manifest_path` of the yielded path is put beside `path` first: so there is
    never a file of ours without one, and what a crash leaves between the two is a file that its manifest disowns.

    Args:
        flush: False leaves the bytes to the operating system, which a folder of many small files is far faster
            with: then a power cut, but no crash of a program, may leave `path` with files cut off.
        companions: relative paths of further files that the block writes beside the yielded one; they are put beside
            `path` after the manifest.

    Raises:
        StorageError: the disk is full or may not be written, or what is there is no regular file: a folder where the
            file should go, a device, a pipe.
    """
    make_folder(path.parent)
    with ExitStack() as stack:
        try:
            if path.exists() and not path.is_file() and not path.is_dir():
                raise StorageError(f"{path} is no regular file", "choose another --output")
            folder = stack.enter_context(make_unfinished(path))
        except OSError as error:
            raise describe_os_error(error, path) from None
        temporary = folder / path.name
        try:
            yield temporary
            _put_in_place(temporary, path, flush, companions)
        except OSError as error:
            raise _explain(error, path, folder) from None
        except SeatrialError as error:
            if str(folder) not in str(error):
                raise
            raise _name_place(error, folder, path.parent) from None


def _put_in_place(temporary: Path, path: Path, flush: bool, companions: Sequence[str]) -> None:
    if path.is_dir() and not temporary.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    names = [name for name in (manifest_path(path).name, *companions) if os.path.exists(temporary.parent / name)]
    if flush:
        for name in (*names, path.name):
            _flush(temporary.parent / name)
    for name in names:
        make_folder((path.parent / name).parent)
        (temporary.parent / name).rename(path.parent / name)
    if temporary.is_dir() and path.is_dir():
        exchange_folders(temporary, path)
    else:
        temporary.rename(path)
    _flush(path.parent, recurse=False)


def _explain(error: OSError, path: Path, temporary: Path) -> Exception:
    """The storage error about `path`, or the error itself where it is about some file that was only read."""
    about = str(error.filename or temporary)
    if error.errno in STORAGE_ERRORS or about.startswith(str(temporary)) or Path(about) in (path, path.parent):
        error.filename = None  # The temporary name means nothing to a user.
        return describe_os_error(error, path)
    return error


def _name_place(error: SeatrialError, temporary: Path, parent: Path) -> SeatrialError:
    """The error about the place where a file was to go, as the temporary one means nothing to a user."""
    fix = error.fix and error.fix.replace(str(temporary), str(parent))
    return type(error)(error.problem.replace(str(temporary), str(parent)), fix)


def _flush(path: Path, recurse: bool = True) -> None:
    for file in [path, *(path.rglob("*") if recurse and path.is_dir() else ())]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def refuse_other_kind(path: Path, suffix: str) -> None:
    """Refuse to replace a file that by its name is not of the kind that is written.

    Raises:
        UsageError: it is there, with another suffix.
    """
    if path.is_file() and path.suffix.lower() != suffix:
        raise UsageError(f"{path} is there already, and by its name it is no {suffix} file", "choose another output")


def write_text(path: Path, text: str) -> None:
    """Write `text` so that `path` is whole or unchanged; a name in it that is no UTF-8 has the bytes of its file."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def remove_file(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        StorageError: it may not be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise describe_os_error(error, path) from None


def manifest_path(path: Path) -> Path:
    """The path of the manifest of a stored graph or checkpoint: beside it, as NAME.json."""
    return path.with_name(f"{path.name}.json")


def hash_file(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Verified:
    """A file whose bytes were hashed: as long as size, time of change and inode are these, they need not be again."""

    sha256: str
    size: int
    ctime_ns: int
    """Of the last change, which nobody can set back."""
    inode: int

    @classmethod
    def of(cls, path: Path, sha256: str) -> Self:
        """A file that was just hashed."""
        stat = path.stat()
        return cls(sha256, stat.st_size, stat.st_ctime_ns, stat.st_ino)


def hash_graph(path: Path, data: Sequence[str] = ()) -> str:
    """The sha256 of an ONNX file; with `data`, files that hold its weights beside it, that of all their hashes."""
    if not data:
        return hash_file(path)
    return hash_value([hash_file(path), {name: hash_file(path.parent / name) for name in data}])


def is_inside(name: str) -> bool:
    """Whether a relative path stays in its folder."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path != PurePosixPath()


def hash_bytes(data: bytes) -> str:
    """The sha256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def hash_content(data: bytes | memoryview) -> int:
    """What identifies the bytes of an image among those of a data set: the first 8 bytes of their sha256.

    64 bits: two of a million different images get the same one with a probability of 3e-8. Of 110 KB it takes 0.06 ms
    where the CPU has instructions for it, a fortieth of what decoding them does, and lets go of the interpreter lock.
    """
    return int.from_bytes(hashlib.sha256(data).digest()[:8])


def hash_value(value: Any) -> str:
    """The sha256 of a JSON value in canonical form (sorted keys, no spaces)."""
    return hash_bytes(_to_canonical(value).encode())


def hash_values(values: Iterable[Any]) -> str:
    """What `hash_value` makes of a list of them, of which there are never two in memory."""
    sha = hashlib.sha256(b"[")
    for index, value in enumerate(values):
        sha.update(f"{',' if index else ''}{_to_canonical(value)}".encode())
    sha.update(b"]")
    return sha.hexdigest()


def _to_canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def link_or_copy(source: Path, target: Path) -> None:
    """Give `source` a second name, or copy it where file systems differ.

    Sharing bytes is safe because nothing here changes a file in place: see `replacing`.
    """
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def lock_file(path: Path, busy: str, fix: str = "wait for it", wait: bool = False) -> FileIO:
    """Open a file to read and to append, unbuffered, and lock it until it is closed or this process dies.

    Args:
        busy: the error where another process has locked it.
        wait: block until it is free instead.

    Raises:
        RunInUse: another process has locked it.
        StorageError: it may not be opened or locked.
    """
    try:
        file = path.open("a+b", buffering=0)
    except OSError as error:
        raise describe_os_error(error, path) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        file.close()
        raise RunInUse(busy, fix) if isinstance(error, BlockingIOError) else describe_os_error(error, path) from None
    return file


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock `folder` for this process until the block ends; a crash frees it too.

    Raises:
        RunInUse: another process has locked it.
    """
    lock = make_folder(folder) / ".lock"
    try:
        file = lock_file(lock, "")
    except RunInUse:
        busy = f"another process works in {folder}{_read_holder(lock)}"
        raise RunInUse(busy, "wait for it, or choose another --output") from None
    with file:
        _write_holder(file)
        yield


def _write_holder(file: FileIO) -> None:
    """Say in a lock file whose it is, for those who find it locked; where the disk is full it says nothing."""
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    holder = f": process {os.getpid()} on {platform.node()} since {since}, {join_words(sys.argv)[:_HOLDER_BYTES]}"
    with contextlib.suppress(OSError):
        file.truncate(0)
        file.write(holder.encode())


def _read_holder(lock: Path) -> str:
    """What the holder of a lock file wrote into it; empty where it wrote nothing."""
    try:
        return read_bytes(lock, 2 * _HOLDER_BYTES).decode(errors="replace")
    except OSError:
        return ""
