"""The guides' `.info` files: one line `INDEX PATH WIDTH HEIGHT` for each file of a folder."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image, UnidentifiedImageError

from seatrial.data.labels import check_folder, read_text_lines
from seatrial.data.preprocessing.decode import FORMATS
from seatrial.errors import DataError, UsageError
from seatrial.store.files import write_text

SUFFIXES = {"bin": (".bin",), "jpg": (".jpg", ".jpeg", ".JPG", ".JPEG")}


@dataclass(frozen=True, slots=True)
class InfoLine:
    """One line of an `.info` file."""

    index: int
    path: str
    """As written: seen from wherever the tool that reads it is started."""
    width: int
    height: int


def write_info(
    kind: Literal["bin", "jpg"], folder: Path | str, output: Path, width: int | None = None, height: int | None = None
) -> tuple[InfoLine, ...]:
    """List the files of `folder` in `output`, sorted by name, counted from 0.

    The guides' `get_info.py` lists in the order of the file system, and starts at 0 again for each spelling of
    `.jpg`; sorted and counted through, the file is the same on every machine and no index stands twice.

    Args:
        kind: "bin" takes `width` and `height` for every file; "jpg" reads each file's own.
        folder: Stands before each name as it is given, so `./bins` stays `./bins` if it is text.
        width: Of what the files hold, in pixels.
        height: Of what the files hold, in pixels.

    Raises:
        UsageError: a size is missing, or is given where files have their own.
        DataError: no such folder, no such files in it, one that is no image, or a name that has no place in a line.
    """
    if (kind == "bin") != (width is not None and height is not None):
        raise UsageError(
            f"an .info file of kind '{kind}' takes {'a' if kind == 'bin' else 'no'} width and height",
            "images have their own size: only bins need one",
        )
    check_folder(Path(folder))
    names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIXES[kind]) and not name.startswith("."))
    if not names:
        raise DataError(
            f"{folder} holds no {' or '.join(SUFFIXES[kind])} files to list", "give the folder of the files"
        )
    lines = []
    for index, name in enumerate(names):
        path = os.path.join(folder, name)
        if len(path.splitlines()) > 1:
            raise DataError(f"{path!r} has a line break in its name", "rename it")
        size = (width, height) if width is not None and height is not None else _read_size(Path(path))
        lines.append(InfoLine(index, path, *size))
    write_text(output, "".join(f"{line.index} {line.path} {line.width} {line.height}\n" for line in lines))
    return tuple(lines)


def _read_size(path: Path) -> tuple[int, int]:
    """Width and height as stored: an EXIF orientation is ignored, as when the file is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return image.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is no image whose size can be read ({error})", "mend or remove it") from None


def read_info(path: Path) -> tuple[InfoLine, ...]:
    """Read an `.info` file; paths may hold spaces.

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
        if len(parts) != 3 or not parts[0].strip() or not all(p.isascii() and p.isdigit() for p in (index, *parts[1:])):
            raise DataError(f"{path}:{number}: '{line[:80]}' is not `INDEX PATH WIDTH HEIGHT`", "mend the line")
        yield InfoLine(int(index), parts[0], int(parts[1]), int(parts[2]))
