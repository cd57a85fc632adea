"""What lies where in an uncompressed tar archive, read from its headers alone; nothing in one is trusted.

Python's own reader takes a damaged header for the archive's end, so here the end is checked too.
"""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seatrial.data.archives.tar_stream import BLOCK, FETCH_AGAIN, LONGEST_READ, STEP, refusing
from seatrial.errors import RefusedFile, cannot_read

COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd --rm"),
}
"""How a compressed file begins, its format and what undoes it."""
UNFIT = re.compile("[\0-\x1f\x7f\ud800-\udfff]")
"""Characters that have no place in a line, and bytes that were no text."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive."""

    name: str
    """As stored, without `./` in front."""
    offset: int
    size_bytes: int


def read_index(path: Path) -> Iterator[Member]:
    """The regular files of an archive in order; directories are passed over.

    Raises:
        DataError: it is not there or may not be read.
        RefusedFile: it is compressed, damaged or cut off, or a member is a link, sparse or absolute; names it.
    """
    try:
        with path.open("rb") as file:
            _check_compression(path, file.read(8))
            file.seek(0)
            yield from _read_members(path, file)
    except OSError as error:
        raise cannot_read(f"archive {path}", error) from None


def _read_members(path: Path, file: BinaryIO) -> Iterator[Member]:
    size_bytes = path.stat().st_size
    with refusing(str(path)):
        archive = tarfile.TarFile(fileobj=_Guarded(file, str(path)), encoding="utf-8")  # type: ignore[arg-type]
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # It would keep them all.
            if not member.isdir():
                _check_member(path, member, size_bytes)
                yield Member(member.name.removeprefix("./"), member.offset_data, member.size)
        _check_end(path, file, archive.offset)


class _Guarded:
    """A file whose headers may be hostile: none makes the reader ask for more than a long name takes."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self.file = file
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LONGEST_READ:
            raise RefusedFile(f"{self.name} is damaged: a header of {size:,} bytes", FETCH_AGAIN)
        return self.file.read(size)


def _check_compression(path: Path, head: bytes) -> None:
    for magic, (kind, undo) in COMPRESSED.items():
        if head.startswith(magic):
            fix = f"unpack it: `{undo} {path}`"
            raise RefusedFile(f"{path} is compressed ({kind})", fix)


def _check_member(path: Path, member: tarfile.TarInfo, size_bytes: int) -> None:
    state = None
    if member.islnk() or member.issym():
        state = "is a link"
    elif member.issparse():
        state = "is sparse"
    elif member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        state = "is no regular file"
    elif member.name.startswith("/") or ".." in member.name.split("/"):
        state = "leads out of the archive"
    elif UNFIT.search(member.name) or not member.name:
        state = "has an empty or unprintable name"
    elif member.size < 0 or member.offset_data + member.size > size_bytes:
        state = f"of {member.size:,} bytes at {member.offset_data:,} goes beyond the file's {size_bytes:,}"
    if state is not None:
        raise RefusedFile(f"{path} is refused: its member {member.name!r} {state}", FETCH_AGAIN)


def _check_end(path: Path, file: BinaryIO, end: int) -> None:
    """See that a block of zeros ends the archive and that nothing but zeros follows."""
    file.seek(end)
    block = file.read(BLOCK)
    if len(block) < BLOCK or any(block):
        raise RefusedFile(f"{path} is cut off or damaged after {end:,} bytes", FETCH_AGAIN)
    while data := file.read(STEP):
        if data.count(0) < len(data):
            raise RefusedFile(f"{path} goes on after its end", "unpack archives that were joined, and pack them as one")
