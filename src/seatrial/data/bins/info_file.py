"""The guides' `.info` files: one line `INDEX PATH WIDTH HEIGHT` for each file of a folder.

The guides' `get_info.py` lists in the order of the file system; sorted, the file is the same on every machine.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.data.labels import check_folder
from seatrial.data.names import read_text_lines
from seatrial.data.preprocessing.decode import read_shown_size
from seatrial.errors import DataError
from seatrial.foreign.files import open_regular
from seatrial.foreign.parse import is_number
from seatrial.store.files import write_text

LONGEST_LINE = 8192
"""Bytes of a line that may be one of an `.info` file: twice the longest path."""
JPEG_SUFFIXES = (".jpg", ".jpeg", ".JPG", ".JPEG")
"""In the order in which `get_info.py` looks for them."""


@dataclass(frozen=True, slots=True)
class InfoLine:
    """One line of an `.info` file."""

    path: str
    """As written: seen from wherever the tool that reads it is started."""
    width: int
    height: int


def write_info(folder: Path | str, output: Path, width: int, height: int) -> None:
    """List the `.bin` files of `folder` in `output`, sorted by name, counted from 0.

    Args:
        folder: Stands before each name as it is given, so `./bins` stays `./bins` if it is text.
        width: Of the images that the files were made of, in pixels.
        height: Of the same.

    Raises:
        DataError: no such folder, no such files in it, or a name that has no place in a line.
    """
    check_folder(Path(folder))
    names = sorted(name for name in os.listdir(folder) if name.endswith(".bin") and not name.startswith("."))
    if not names:
        raise DataError(f"{folder} holds no .bin files to list", "give the folder of the files")
    _write_lines([InfoLine(os.path.join(folder, name), width, height) for name in names], output)


def write_image_info(folder: Path | str, output: Path) -> None:
    """List the JPEG files of `folder` in `output`, each with its own size as it is shown, which an EXIF tag may turn.

    As in `get_info.py`, those of each spelling of the suffix are counted from 0.

    Raises:
        DataError: no such folder, no such files in it, one that is no image, or a name that has no place in a line.
    """
    check_folder(Path(folder))
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    groups = [[name for name in names if name.endswith(suffix)] for suffix in JPEG_SUFFIXES]
    if not any(groups):
        raise DataError(f"{folder} holds no {', '.join(JPEG_SUFFIXES)} files to list", "give the folder of the images")
    paths = [[os.path.join(folder, name) for name in group] for group in groups]
    _write_lines(
        [InfoLine(path, *read_shown_size(Path(path))) for group in paths for path in group],
        output,
        [index for group in paths for index in range(len(group))],
    )


def _write_lines(lines: Sequence[InfoLine], output: Path, indices: Sequence[int] | None = None) -> None:
    broken = next((line.path for line in lines if len(line.path.splitlines()) > 1), None)
    if broken is not None:
        raise DataError(f"{broken!r} has a line break in its name", "rename it")
    numbered = zip(indices or range(len(lines)), lines, strict=True)
    write_text(output, "".join(f"{index} {line.path} {line.width} {line.height}\n" for index, line in numbered))


def is_info(path: Path) -> bool:
    """Whether a file's first line is one of an `.info` file, whatever its name."""
    if not path.is_file():
        return False
    with open_regular(path) as file:
        first = file.readline(LONGEST_LINE)
    return re.fullmatch(rb"\d+ \S.* \d+ \d+\r?\n?", first) is not None


def read_info(path: Path) -> tuple[InfoLine, ...]:
    """Read an `.info` file; paths may have spaces.

    Raises:
        DataError: no such file, an empty one, or a line of another form; names it.
    """
    lines = tuple(_parse_lines(path))
    if not lines:
        raise DataError(f"info file {path} is empty", "`seatrial preprocess … --info FILE` writes one")
    return lines


def _parse_lines(path: Path) -> Iterator[InfoLine]:
    for number, line in enumerate(read_text_lines(path, "info file"), start=1):
        if not line.strip():
            continue
        index, _, rest = line.strip().partition(" ")
        parts = rest.rsplit(" ", 2)
        if len(parts) != 3 or not parts[0].strip() or not all(map(is_number, (index, *parts[1:]))):
            raise DataError(f"{path}:{number}: '{line[:80]}' is not `INDEX PATH WIDTH HEIGHT`", "mend the line")
        yield InfoLine(parts[0], int(parts[1]), int(parts[2]))
