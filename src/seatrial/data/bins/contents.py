"""What was written to the bins of a folder, and from which image files: its `bins.contents`.

A line for each bin: the hash of its bytes, the sha256 and the size of the image file, and the bin's name. It is added
before the bin gets its name, by whatever process writes it, so that every bin that is there has one.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.data.fast_hash import hash_prepared
from seatrial.data.names import count_names
from seatrial.errors import DataError
from seatrial.foreign.files import read_bytes
from seatrial.store.files import hash_bytes, write_text

CONTENTS = "bins.contents"
_LINE = re.compile(r"([0-9a-f]{16}) ([0-9a-f]{64}) (\d{1,12}) (.+)")


@dataclass(frozen=True, slots=True)
class BinContent:
    """One bin and the image file that it was made of."""

    hash: int
    """Of the bin: `data.fast_hash.hash_prepared`."""
    image_sha256: str
    image_bytes: int

    @classmethod
    def of(cls, numbers: bytes | memoryview, image: bytes) -> "BinContent":
        """That of a bin's bytes and an image file's."""
        return cls(hash_prepared(numbers), hash_bytes(image), len(image))

    def to_line(self, name: str) -> str:
        """Its line, for a bin of this name."""
        return f"{self.hash:016x} {self.image_sha256} {self.image_bytes} {name}\n"


def append_content(folder: Path, name: str, content: BinContent) -> None:
    """Add a bin's line.

    Raises:
        OSError: the disk is full or may not be written.
    """
    # One write at the end of the file: those of several processes do not mix.
    descriptor = os.open(folder / CONTENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, content.to_line(name).encode(errors="surrogateescape"))
    finally:
        os.close(descriptor)


def read_contents(folder: Path) -> dict[str, BinContent]:
    """The contents of a folder's bins, by name; the last line of a bin counts, and what is no line is passed over."""
    path = folder / CONTENTS
    if not path.is_file():
        return {}
    lines = read_bytes(path).decode(errors="surrogateescape").split("\n")
    matches = (match for line in lines if (match := _LINE.fullmatch(line)))
    return {match[4]: BinContent(int(match[1], 16), match[2], int(match[3])) for match in matches}


def find_contents(paths: Sequence[Path]) -> dict[Path, BinContent]:
    """The contents of bins, by path: of all bins of a folder that has a `bins.contents`, of none of another.

    Raises:
        DataError: a bin was added to its folder later.
    """
    by_folder = {folder: read_contents(folder) for folder in {path.parent for path in paths}}
    foreign = [str(path) for path in paths if by_folder[path.parent] and path.name not in by_folder[path.parent]]
    if foreign:
        names = count_names("are not those that `seatrial preprocess` wrote there", sorted(foreign))
        raise DataError(
            f"of {len(paths)} bins, {names}", "run it again, or give bins from elsewhere a folder of their own"
        )
    return {path: by_folder[path.parent][path.name] for path in paths if by_folder[path.parent]}


def tidy_contents(folder: Path, contents: Mapping[str, BinContent], names: Iterable[str]) -> None:
    """Write the lines of these bins anew, sorted, without those of a run that was killed in the middle of one."""
    text = "".join(contents[name].to_line(name) for name in sorted(names) if name in contents)
    if contents or (folder / CONTENTS).exists():
        write_text(folder / CONTENTS, text)
