"""Which files are images: by suffix those that are taken, by their first bytes those that somebody may have meant."""

import contextlib
import os
import re
from collections.abc import Iterator, Set
from pathlib import Path

from seatrial.errors import cannot_read
from seatrial.foreign.files import open_regular

IMAGE_SUFFIXES = (
    *(".jpeg", ".jpg", ".jpe", ".jfif"),
    *(".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".gif"),
)
"""Of the formats that `data.preprocessing.decode` reads."""
HEAD_BYTES = 32
"""Suffixes by which an image is known."""
_HEAD = re.compile(
    rb"\xff\xd8\xff"  # JPEG
    rb"|\x89PNG\r\n\x1a\n"
    rb"|GIF8[79]a"
    rb"|RIFF....WEBP"
    rb"|II\*\0|MM\0\*|II\+\0|MM\0\+"  # TIFF, and what cameras make of it
    rb"|BM....\0\0\0\0....[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"  # BMP, by the size of its header
    rb"|P[1-6]\s+[0-9#]"  # PPM and its kin
    rb"|....ftyp(heic|heix|hevc|mif1|msf1|avif|avis)"
    rb"|\0\0\0\x0cjP  |\xff\x4f\xff\x51"  # JPEG 2000
    rb"|\xff\x0a|\0\0\0\x0cJXL ",
    re.DOTALL,
)
"""How images begin, also of formats that `data.preprocessing.decode` does not read."""


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def is_image_head(head: bytes) -> bool:
    """Whether a file that begins with these `HEAD_BYTES` bytes is an image."""
    return _HEAD.match(head) is not None


def find_left_out(root: Path, taken: Set[str]) -> list[str]:
    """Images in `root`, at any depth, that are not `taken`: paths seen from `root`, sorted.

    Hidden files and folders are left out of everything, and so is what may not be read, such as `lost+found`. Only of
    a file without an image's suffix the first bytes are read.

    Raises:
        DataError: a folder or such a file cannot be read for another reason.
    """
    try:
        return sorted(_find_others(root, "", taken, set()))
    except OSError as error:
        raise cannot_read(str(error.filename or root), error) from None


def _find_others(folder: Path, prefix: str, taken: Set[str], above: Set[str]) -> Iterator[str]:
    above = {*above, os.path.realpath(folder)}
    with contextlib.suppress(PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.name.startswith(".") or name in taken:
                continue
            if os.path.isdir(entry):  # `entry.is_dir` raises of a link that leads to itself.
                # A link to a folder that it lies in would never end.
                if not entry.is_symlink() or os.path.realpath(entry) not in above:
                    yield from _find_others(Path(entry.path), f"{name}/", taken, above)
            elif is_image_name(entry.name) or (os.path.isfile(entry) and _begins_as_image(entry.path)):
                yield name


def _begins_as_image(path: str) -> bool:
    with contextlib.suppress(PermissionError), open_regular(path) as file:
        return is_image_head(file.read(HEAD_BYTES))
    return False
