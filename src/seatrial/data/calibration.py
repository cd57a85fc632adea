"""Calibration images: found, known by their bytes, and kept apart from those that an accuracy is measured on."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from seatrial.data.images import LabelledImage
from seatrial.data.labels import list_images, read_image_list, spread
from seatrial.errors import DataError, cannot_read
from seatrial.store.files import hash_bytes, hash_file


def read_calibration(source: Path, count: int) -> tuple[Path, ...]:
    """At most `count` images, evenly spaced: of a folder, of the folders in it, or of a text file that lists them.

    Raises:
        DataError: there is no such folder or file, it holds no images or others too, or a listed one is not there.
    """
    paths = read_image_list(source) if source.is_file() else list_images(source)
    if not paths:
        raise DataError(f"calibration folder {source} holds no images", "give a folder or a list of images")
    return tuple(spread(paths, count))


def hash_contents(images: Iterable[Path]) -> dict[str, int]:
    """Sizes in bytes by the sha256 of each file's bytes.

    Raises:
        DataError: a file cannot be read.
    """
    contents = {}
    for path in images:
        try:
            contents[hash_file(path)] = os.stat(path).st_size
        except OSError as error:
            raise cannot_read(f"image {path}", error) from None
    return contents


def check_apart(contents: Mapping[str, int], images: Sequence[LabelledImage]) -> None:
    """Refuse images whose bytes are in `contents`; only files of a size that occurs there are read.

    Of images that were preprocessed before, the file that they were made of counts, where it is known.

    Raises:
        DataError: says how many and the first.
    """
    sizes = set(contents.values())
    leaked = [image for image in images if _measure(image) in sizes and _identify(image) in contents]
    if leaked:
        raise DataError(
            f"{len(leaked)} of {len(images)} evaluation images were used for calibration, first {leaked[0]}",
            "calibrate with images that are never evaluated on, such as training images",
        )


def _measure(image: LabelledImage) -> int:
    return image.measure()[0] if image.content is None else image.content[0]


def _identify(image: LabelledImage) -> str:
    return hash_bytes(image.read()) if image.content is None else image.content[1]
