"""What lies where in an uncompressed tar archive, read from its headers alone; nothing in one is trusted."""

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from seatrial.data.archives.tar_stream import FETCH_AGAIN, TarStream, walk
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


def read_index(path: Path) -> Iterator[tuple[str, int, int]]:
    """The regular files of an archive in order; directories are passed over.

    Yields:
        The name as stored, without `./` in front; where in the archive the bytes begin, and how many they are.

    Raises:
        DataError: it is not there or may not be read.
        RefusedFile: it is compressed, damaged or cut off, or a member is a link, sparse or absolute; names it.
    """
    try:
        with path.open("rb") as file:
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
