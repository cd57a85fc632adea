"""Files to read, under names that users give: a pipe, a socket or a device is an error, and not waited for."""

import errno
import io
import os
import stat
from pathlib import Path

from seatrial.errors import NO_DESCRIPTORS, too_many_open

TEXT_BYTES = 64 * 2**20
"""The most of a text that people or small tools write, such as a card, a configuration or a record."""
_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a pipe, and no regular file"),
    (stat.S_ISSOCK, "it is a socket, and no regular file"),
    (stat.S_ISCHR, "it is a device, and no regular file"),
    (stat.S_ISBLK, "it is a device, and no regular file"),
)


class UnfitFile(OSError):
    """What is at a path is no file that can be read as asked; `strerror` says why."""

    def __init__(self, reason: str, path: Path | str) -> None:
        super().__init__(errno.EINVAL, reason, str(path))


def open_regular(path: Path | str, pipes: bool = False) -> io.BufferedReader:
    """Open a regular file to read, after any links.

    Args:
        pipes: take a pipe that another process writes to, too: `/dev/stdin`, bash's `<(…)`. It can be read only once.

    Raises:
        IsADirectoryError: it is a folder.
        UnfitFile: it is no regular file.
        OSError: there is none, or it may not be read.
        StorageError: this process has too many files open; whoever says why a file cannot be read would blame the file.
    """
    # Without O_NONBLOCK a pipe that nobody writes to is waited for.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in NO_DESCRIPTORS:
            raise too_many_open() from None
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode) and not (pipes and stat.S_ISFIFO(mode)):
            raise UnfitFile(next(what for is_kind, what in _KINDS if is_kind(mode)), path)
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: Path | str, most: int | None = None, pipes: bool = False) -> bytes:
    """All bytes of a file.

    Args:
        most: refuse what has more bytes.
        pipes: as for `open_regular`.

    Raises:
        OSError: as `open_regular`; or the file is larger, or nothing came through a pipe.
    """
    with open_regular(path, pipes) as file:
        if most is None:
            return file.read()
        if os.fstat(file.fileno()).st_size > most:
            # Not even as much as it may have is read: there may be many such files.
            raise UnfitFile(f"it has more than {most:,} bytes", path)
        data = _read_pipe(file, most, path) if pipes else file.read()
    if len(data) > most:
        raise UnfitFile(f"it has more than {most:,} bytes", path)
    return data


def _read_pipe(file: io.BufferedReader, most: int, path: Path | str) -> bytes:
    """As many bytes as there are; a pipe without any was read before, or has nobody who writes to it."""
    data = file.read(most + 1)
    if not data and stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
        raise UnfitFile("it is a pipe through which nothing comes: one can be read only once", path)
    return data


def read_text(path: Path | str, most: int | None = TEXT_BYTES, pipes: bool = False, errors: str = "strict") -> str:
    """A file's text in UTF-8, without the byte order mark that Windows editors put in front.

    Raises:
        OSError: as `read_bytes`.
        UnicodeDecodeError: it is in another encoding.
    """
    return read_bytes(path, most, pipes).decode("utf-8-sig", errors=errors)


def is_regular(path: Path | str) -> bool:
    """Whether there is a regular file; of a path that is too long, a looping link and the like there is none."""
    return os.path.isfile(path)
