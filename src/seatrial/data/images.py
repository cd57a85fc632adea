"""Images by name, class and place, whether a file, a member of an archive or prepared before."""

import math
import os
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seatrial.data.fast_hash import hash_prepared
from seatrial.errors import DataError, RefusedFile, cannot_read
from seatrial.recipes.steps import Size
from seatrial.store.files import hash_values

UNLABELLED = -1
"""The label of an image whose class is not known."""


@dataclass(frozen=True, slots=True)
class PreparedInput:
    """What the bytes of an image are that was preprocessed before: an engine's input, without a header."""

    dtype: Literal["uint8", "float32"]
    shape: tuple[int, int, int]
    """Of one image, as the engine's input without its batch axis."""
    preprocess_hash: str | None
    """What made it, where that is known."""

    @classmethod
    def pixels(cls, size: Size, preprocess_hash: str | None = None, channels: int = 3) -> "PreparedInput":
        """Pixels of this height and width."""
        return cls("uint8", (*size, channels), preprocess_hash)

    @classmethod
    def floats(cls, size: Size, preprocess_hash: str | None = None, channels: int = 3) -> "PreparedInput":
        """Normalised floats of this height and width, channels first."""
        return cls("float32", (channels, *size), preprocess_hash)

    @property
    def size(self) -> Size | None:
        """Height and width; None of pixels that are not RGB: YUV420SP's rows are not the image's."""
        if self.dtype == "float32":
            return self.shape[1:]
        return self.shape[:2] if self.shape[2] == 3 else None

    @property
    def size_bytes(self) -> int:
        """Bytes of one image."""
        return math.prod(self.shape) * (4 if self.dtype == "float32" else 1)

    def fits(self, wanted: "PreparedInput") -> bool:
        """Whether it is what is wanted; type and shape decide where the preprocessing is not known."""
        same_form = (self.dtype, self.shape) == (wanted.dtype, wanted.shape)
        return same_form and self.preprocess_hash in (None, wanted.preprocess_hash)

    def __str__(self) -> str:
        return f"{self.dtype} {'×'.join(map(str, self.shape))}"


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image and its class: a file, a member of an archive, or one that was preprocessed before."""

    id: str
    """The file's name as the label file spells it, or CLASS/NAME in class folders."""
    path: Path
    label: int
    """`UNLABELLED` as long as it is not known."""
    span: tuple[int, int] | None = None
    """Offset and length inside `path`, in bytes; None is the whole file."""
    prepared: PreparedInput | None = None
    """None is an image file of a format that `data.preprocessing.decode` reads."""
    content: tuple[int, str] | None = None
    """Size in bytes and sha256 of the image file that a prepared one was made of, where that is known."""
    crc32: int | None = None
    """Of the bytes, where their file has one: `read` and `read_into` verify it."""
    prepared_hash: int | None = None
    """`data.fast_hash.hash_prepared` of the bytes of a prepared one, where it was stored: verified, too."""

    @property
    def known_content(self) -> int:
        """The first 64 bits of the sha256 in `content`, which is known: `store.files.hash_content`."""
        assert self.content is not None
        return int(self.content[1][:16], 16)

    def read(self) -> bytes:
        """The bytes.

        Raises:
            DataError: they are missing, cut off or unreadable.
            RefusedFile: they are not those that were stored.
        """
        with self._opened() as (descriptor, offset, length):
            data = os.pread(descriptor, length, offset)
        self._check(data, len(data), length)
        return data

    def read_into(self, row: NDArray[np.generic]) -> None:
        """Copy the bytes to `row`, a contiguous array of their size, without a copy between.

        Raises:
            DataError: they are missing, cut off, unreadable or of another size.
            RefusedFile: they are not those that were stored.
        """
        with self._opened() as (descriptor, offset, length):
            if length != row.nbytes:
                raise DataError(
                    f"{self} has {length} bytes, the engine's input {row.nbytes}", "preprocess the images again"
                )
            count = os.preadv(descriptor, [row.data], offset)
        self._check(row.data, count, length)

    @contextmanager
    def _opened(self) -> Iterator[tuple[int, int, int]]:
        """The file's descriptor, and where in it the bytes begin and how many they are.

        Opened for each image: that costs a hundredth of what copying a prepared one does, and threads share nothing.
        """
        try:
            # Without O_NONBLOCK a pipe of that name would be waited for.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise DataError(f"image {self} is no regular file", "remove it")
                yield (descriptor, *(self.span or (0, os.fstat(descriptor).st_size)))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise cannot_read(f"image {self}", error) from None

    def _check(self, data: bytes | memoryview, count: int, length: int) -> None:
        if count < length:
            raise DataError(
                f"image {self} is cut off: the file ends after {count} of its {length} bytes", "copy it again"
            )
        if self.crc32 is not None and zlib.crc32(data) != self.crc32:
            raise RefusedFile(f"image {self} is damaged: checksum mismatch", f"delete {self.path} and write it again")
        if self.prepared_hash is not None and hash_prepared(data) != self.prepared_hash:
            fix = "run `seatrial preprocess` again: it writes such files anew"
            raise RefusedFile(f"image {self} has changed since `seatrial preprocess` wrote it", fix)

    def measure(self) -> tuple[int, int]:
        """Size in bytes, and time of the file's last change in nanoseconds.

        Raises:
            DataError: the file went away, or was only a link to nothing.
        """
        try:
            status = self.path.stat()
        except OSError as error:
            raise cannot_read(f"image {self}", error) from None
        return (status.st_size if self.span is None else self.span[1]), status.st_mtime_ns

    def __str__(self) -> str:
        return str(self.path) if self.span is None else f"{self.id} in {self.path}"


def are_labelled(images: Sequence[LabelledImage]) -> bool:
    """Whether the classes of a set's images are known: of all of them, or of none."""
    return bool(images) and images[0].label != UNLABELLED


@dataclass(frozen=True, slots=True)
class ImageListing:
    """A set of labelled images, and what is missing of it."""

    images: tuple[LabelledImage, ...]
    """In the order of their ids."""
    missing: tuple[str, ...] = ()
    """Ids that have a label but no image, sorted."""
    source_hash: str | None = None
    """The hash of the set that a pack was made of."""

    def identify(self) -> str:
        """What identifies the set (`hash_listing`); a pack is the set that it was made of.

        Raises:
            DataError: a file went away.
        """
        return hash_listing(self.images) if self.source_hash is None else self.source_hash


def hash_listing(images: Iterable[LabelledImage]) -> str:
    """What identifies a labelled set without reading its files: ids, labels, sizes and times of last change.

    Raises:
        DataError: a file went away, or was only a link to nothing.
    """
    return hash_values([image.id, image.label, *image.measure()] for image in images)
