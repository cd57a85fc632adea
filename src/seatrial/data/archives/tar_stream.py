"""Tar archives of images read from front to back, once, or their headers alone; nothing in one is trusted.

Only regular files come out, and their names are the caller's to match: no member's name becomes a path by itself. The
standard library's reader takes a damaged header for the archive's end, so here the end is checked too.
"""

import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from seatrial.errors import RefusedFile, SeatrialError, cannot_read
from seatrial.foreign.files import open_regular
from seatrial.store.files import describe_os_error

BLOCK = 512
"""What a tar archive counts in; one of zeros ends it."""
STEP = 1 << 20
"""Bytes copied at a time."""
LONGEST_READ = 16 * STEP
"""Bytes read at once: tarfile reads more only where a header gives its text a greater length."""
FETCH_AGAIN = "fetch it again"
COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd --rm"),
}
"""How a compressed file begins, its format and what undoes it."""
UNFIT = re.compile("[\0-\x1f\x7f\ud800-\udfff]")
"""Characters that have no place in a line, and bytes that were no text."""


class TarStream:
    """An archive's bytes, read forwards only, with what tarfile needs of a file; counted, and shown to `watch`."""

    def __init__(
        self,
        source: Callable[[int], bytes],
        name: str,
        limit: int,
        watch: Callable[[bytes], object] | None = None,
        skip: Callable[[int], int] | None = None,
    ) -> None:
        self.source = source
        """Reads up to so many bytes."""
        self.name = name
        """What messages call it."""
        self.limit = limit
        """Bytes that may come out, compression undone."""
        self.watch = watch
        self.skip = skip
        """Moves the source to a position; None reads all bytes up to it."""
        self.position = 0
        self.last_block = b""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end.

        Raises:
            RefusedFile: the source cannot be read, or there is more than allowed.
        """
        if not 0 <= size <= LONGEST_READ:
            raise RefusedFile(f"{self.name} is damaged: a header of {size:,} bytes", FETCH_AGAIN)
        # What is raised is a disk's, gzip's or the outer archive's: all of it is about the file.
        with refusing(self.name, "cannot be read"):
            data = self.source(size)
        self.position += len(data)
        if self.position > self.limit:
            raise RefusedFile(f"{self.name} holds more than {self.limit:,} bytes", "it is not what it should be")
        if self.watch is not None:
            self.watch(data)
        self.last_block = (self.last_block + data)[-BLOCK:] if len(data) < BLOCK else data[-BLOCK:]
        return data

    def tell(self) -> int:
        """Bytes read or skipped so far."""
        return self.position

    def seek(self, position: int) -> int:
        """Go on to `position`, or to the end."""
        if position < self.position:
            raise RefusedFile(f"{self.name} is damaged: a member begins before the last one ends", FETCH_AGAIN)
        if self.skip is not None:
            self.position = self.skip(position)
        while self.position < position and self.read(min(STEP, position - self.position)):
            pass
        return self.position


@contextmanager
def refusing(name: str, state: str = "is cut off or damaged") -> Iterator[None]:
    """Turn whatever the standard library raises over hostile bytes into a refusal of `name`."""
    try:
        yield
    except SeatrialError:
        raise
    except Exception as error:
        # The bytes may be hostile: tarfile has errors of its own, and overflows and recurses too deeply as well.
        raise RefusedFile(f"{name} {state} ({error})", FETCH_AGAIN) from None


def walk(stream: TarStream) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The regular files of an archive in order, each with what opens it; directories are passed over.

    Raises:
        RefusedFile: a member is a link, a device or anything else, or the archive is damaged or cut off.
    """
    with refusing(stream.name):
        archive = tarfile.TarFile(fileobj=stream, encoding="utf-8")  # type: ignore[arg-type]
    while True:
        with refusing(stream.name):
            member = archive.next()
        if member is None:
            break
        archive.members = []  # type: ignore[attr-defined]  # It would keep them all.
        if not member.isdir():
            _check_kind(stream.name, member)
            yield archive, member
    _check_end(stream, archive.offset)


def read_members(stream: TarStream) -> Iterator[tuple[str, IO[bytes], int]]:
    """Name, bytes and size of each regular file in order; each can be read until the next one.

    Raises:
        RefusedFile: as `walk`.
    """
    for archive, member in walk(stream):
        file = archive.extractfile(member)
        assert file is not None
        yield member.name.removeprefix("./"), file, member.size


def read_index(path: Path) -> Iterator[tuple[str, int, int]]:
    """The regular files of an archive in order; directories are passed over.

    Yields:
        The name as stored, without `./` in front; where in the archive the bytes begin, and how many they are.

    Raises:
        DataError: it is not there or may not be read.
        RefusedFile: it is compressed, damaged or cut off, or a member is a link, sparse or absolute; names it.
    """
    try:
        with open_regular(path) as file:
            _check_compression(path, file.read(8))
            file.seek(0)
            size_bytes = path.stat().st_size
            for _, member in walk(TarStream(file.read, str(path), size_bytes, skip=file.seek)):
                _check_place(path, member, size_bytes)
                yield member.name.removeprefix("./"), member.offset_data, member.size
    except OSError as error:
        raise cannot_read(f"archive {path}", error) from None


def _check_compression(path: Path, head: bytes) -> None:
    for magic, (kind, undo) in COMPRESSED.items():
        if head.startswith(magic):
            fix = f"unpack it: `{undo} {path}`"
            raise RefusedFile(f"{path} is compressed ({kind})", fix)


def _check_place(path: Path, member: tarfile.TarInfo, size_bytes: int) -> None:
    state = None
    if member.name.startswith("/") or ".." in member.name.split("/"):
        state = "leads out of the archive"
    elif UNFIT.search(member.name) or not member.name:
        state = "has an empty or unprintable name"
    elif member.size < 0 or member.offset_data + member.size > size_bytes:
        state = f"of {member.size:,} bytes at {member.offset_data:,} goes beyond the file's {size_bytes:,}"
    if state is not None:
        raise RefusedFile(f"{path} is refused: its member {member.name!r} {state}", FETCH_AGAIN)


def _check_kind(name: str, member: tarfile.TarInfo) -> None:
    state = None
    if member.islnk() or member.issym():
        state = "is a link"
    elif member.issparse():
        state = "is sparse"
    elif member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        state = "is no regular file"
    if state is not None:
        raise RefusedFile(f"{name} is refused: its member {member.name!r} {state}", FETCH_AGAIN)


def _check_end(stream: TarStream, end: int) -> None:
    """See that the archive ended with a block of zeros and that nothing but zeros follows."""
    if stream.position != end + BLOCK or any(stream.last_block):
        raise RefusedFile(f"{stream.name} is cut off or damaged after {end:,} bytes", FETCH_AGAIN)
    while data := stream.read(STEP):
        if data.count(0) < len(data):
            fix = f"{FETCH_AGAIN}; joined archives must be packed as one"
            raise RefusedFile(f"{stream.name} goes on after its end", fix)


def read_whole(file: IO[bytes], size: int, name: str) -> bytes:
    """A member's bytes.

    Raises:
        RefusedFile: the archive ends before the member does.
    """
    with refusing(name):
        data = file.read(size)
    if len(data) != size:
        raise RefusedFile(f"{name} is cut off", FETCH_AGAIN)
    return data


def copy_out(file: IO[bytes], size: int, target: Path, name: str) -> None:
    """Write a member to `target`, which must not be there yet.

    Raises:
        RefusedFile: it is there, so the archive has this member twice, or the archive ends before the member does.
        StorageError: the disk is full or may not be written.
    """
    try:
        with target.open("xb") as written:
            for start in range(0, size, STEP):
                written.write(read_whole(file, min(STEP, size - start), name))
    except FileExistsError:
        raise RefusedFile(f"{name} is in its archive twice", FETCH_AGAIN) from None
    except OSError as error:
        raise describe_os_error(error, target) from None
