"""Labelled images decoded once, for many engines: one file of their pixels, each with a checksum.

A pack begins with a page of 4096 bytes: the magic, where the index lies, how long it is and its sha256, little-endian,
then zeros. The pixels of all images follow, in the order of their ids, and at the end the index, as JSON.
"""

import hashlib
import math
import shutil
import struct
import time
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from seatrial.data.classes import check_classes
from seatrial.data.contents import read_contents
from seatrial.data.images import UNLABELLED, ImageListing, LabelledImage, PreparedInput
from seatrial.data.label_files import read_image_labels
from seatrial.data.loading.prefetch import load_ahead
from seatrial.data.names import count_names
from seatrial.data.preprocessing.input_pipeline import InputPipeline
from seatrial.data.sources.request import Request, match_ids
from seatrial.errors import DataError, RefusedFile, SeatrialError, StorageError, UsageError
from seatrial.foreign.files import is_regular, open_regular
from seatrial.progress import Progress, Update, silent
from seatrial.recipes.class_names import find_reordered, read_names
from seatrial.store.files import hash_bytes, replacing
from seatrial.store.json_text import read_model, write_json
from seatrial.store.record import Record

MAGIC = b"seatrial"
PAGE = 4096
FRONT = struct.Struct("<8sQQ32s")


class PackIndex(Record):
    """What a pack holds; lists have an entry for each image, in the order of their ids."""

    schema_: Literal["seatrial/pack/1"] = Field(default="seatrial/pack/1", alias="schema")
    recipe: str
    preprocess_hash: str
    """Of the pixels: `InputPipeline.pixels_hash`."""
    dtype: Literal["uint8"] = "uint8"
    shape: tuple[int, int, int]
    """Of one image: rows, columns, channels."""
    source_hash: str
    """What identifies the set that it was made of: `data.labels.hash_listing`."""
    missing: tuple[str, ...] = ()
    """Ids of that set that were not there."""
    ids: tuple[str, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...] = ()
    """What the card of the packing calls the classes that labels are numbers of; none where it has no names."""
    source_bytes: tuple[int, ...]
    """Sizes of the image files."""
    source_sha256: tuple[str, ...]
    crc32: tuple[int, ...]
    """Checksum of the pixels of each image."""

    @property
    def form(self) -> PreparedInput:
        """What the bytes of each image are."""
        return PreparedInput(self.dtype, self.shape, self.preprocess_hash)


@dataclass(frozen=True, slots=True)
class PackReport:
    """What `write_pack` did."""

    index: PackIndex
    size_bytes: int
    wall_s: float
    """0 if the pack was there already."""


def write_pack(
    listing: ImageListing, pipeline: InputPipeline, output: Path, decode_workers: int, progress: Progress = silent
) -> PackReport:
    """Decode images in `decode_workers` threads into one file, whole or absent; or find it written.

    Raises:
        UsageError: another file is at `output`, or the images are preprocessed already.
        DataError: a file is no image.
        StorageError: the disk is full or may not be written.
    """
    images, source_hash = listing.images, listing.identify()
    prepared = next((image for image in images if image.prepared is not None), None)
    if prepared is not None:
        raise UsageError(f"{prepared} is preprocessed already", "a pack is made of image files")
    start = time.perf_counter()
    index = _find_written(output, source_hash, listing.missing, pipeline)
    if index is not None and _is_made_of(index, images, decode_workers, progress):
        progress(Update("pack", note=f"already packed: {output}"))
        return PackReport(index, output.stat().st_size, 0.0)
    with replacing(output) as temporary:
        _check_room(temporary.parent, output, len(images) * math.prod(pipeline.shape))
        with temporary.open("wb") as file:
            file.write(bytes(PAGE))
            facts = _write_pixels(file, images, pipeline, decode_workers, progress)
            index = _describe(listing, source_hash, pipeline, facts)
            _write_index(file, index)
    return PackReport(index, output.stat().st_size, time.perf_counter() - start)


def is_pack(path: Path) -> bool:
    """Whether a path is a file that begins as packs do."""
    if not is_regular(path):
        return False
    with open_regular(path) as file:
        return file.read(len(MAGIC)) == MAGIC


def open_pack(path: Path) -> PackIndex:
    """What a pack holds, its index proved whole; the pixels of an image are when they are read.

    Raises:
        RefusedFile: it is cut off or damaged, or no pack at all.
    """
    with open_regular(path) as file:
        page = file.read(PAGE)
        if len(page) == PAGE and not any(page[FRONT.size :]):
            _, offset, length, digest = FRONT.unpack_from(page)
            size_bytes = path.stat().st_size
            if size_bytes != offset + length:
                problem = f"pack {path} is cut off or damaged: it has {size_bytes:,} bytes, not "
                raise RefusedFile(f"{problem}{offset + length:,}", _again(path))
            file.seek(offset)
            data = file.read(length)
            if hashlib.sha256(data).digest() == digest:
                return _parse_index(data, offset, path)
    raise RefusedFile(f"pack {path} is damaged: checksum mismatch of its index", _again(path))


def list_packed(index: PackIndex, path: Path) -> tuple[LabelledImage, ...]:
    """The images of a pack, in the order of their ids."""
    form, size = index.form, index.form.size_bytes
    columns = zip(index.ids, index.labels, index.source_bytes, index.source_sha256, index.crc32, strict=True)
    return tuple(
        LabelledImage(i, path, label, (PAGE + row * size, size), form, (source_bytes, sha256), crc32)
        for row, (i, label, source_bytes, sha256, crc32) in enumerate(columns)
    )


def read_packed(request: Request) -> ImageListing:
    """The images of a pack; a label file, if there is one, must say the same.

    Raises:
        DataError: the label file says otherwise, or the network lacks a class.
        RefusedFile: it is cut off or damaged.
    """
    index = open_pack(request.source)
    images = list_packed(index, request.source)
    if not request.unlabelled:
        _check_order(index, request)
        check_classes(zip(index.ids, index.labels, strict=True), request.classes, str(request.source))
    if index.missing and not request.allow_partial:
        shown = count_names("labelled images that were not there", index.missing)
        raise DataError(f"{request.source} was packed without {shown}", "--allow-partial does without them")
    if request.unlabelled:
        return ImageListing(tuple(replace(image, label=UNLABELLED) for image in images), index.missing)
    missing = () if request.labels is None else _compare_labels(images, request.labels, request)
    return ImageListing(images, tuple(sorted({*index.missing, *missing})), index.source_hash)


def _check_order(index: PackIndex, request: Request) -> None:
    """Refuse labels that are numbers of the card's classes in another order.

    Raises:
        DataError: names the first class that is another one.
    """
    packed, own = index.class_names, request.classes.names
    place = find_reordered(packed, own)
    if place is None:
        return
    raise DataError(
        f"{request.source} was packed for classes in another order: class {place} is '{packed[place]}' in it, and "
        f"'{own[place]}' of the card",
        "pack the images again for this card, into another file",
    )


def _compare_labels(images: Sequence[LabelledImage], labels: Path, request: Request) -> tuple[str, ...]:
    by_id = read_image_labels(labels, {image.id for image in images}, request.classes)
    missing = match_ids(by_id.keys(), {image.id for image in images}, request)
    others = [image.id for image in images if by_id[image.id] != image.label]
    if others:
        shown = count_names("images have another class in the pack", others)
        raise DataError(
            f"{labels} and {request.source} do not agree: {shown}", "leave out --labels, or pack them again"
        )
    return missing


def _parse_index(data: bytes, offset: int, path: Path) -> PackIndex:
    try:
        index = read_model(PackIndex, data)
    except ValueError:
        raise RefusedFile(f"pack {path} was written by another version of seatrial", _again(path)) from None
    counts = {len(column) for column in (index.ids, index.labels, index.source_bytes, index.source_sha256, index.crc32)}
    if counts != {len(index.ids)} or offset != PAGE + len(index.ids) * index.form.size_bytes:
        raise RefusedFile(f"pack {path} has an index that does not fit its pixels", _again(path))
    return index


def _again(path: Path) -> str:
    return f"delete it and write it again: `seatrial data pack RECIPE IMAGES --output {path}`"


def _find_written(
    output: Path, source_hash: str, missing: tuple[str, ...], pipeline: InputPipeline
) -> PackIndex | None:
    """The index at `output` if it is a pack of these images for this preprocessing; another pack is replaced."""
    if not output.exists():
        return None
    if not is_pack(output):
        raise UsageError(f"{output} is there and is no pack", "choose another --output")
    try:
        index = open_pack(output)
    except SeatrialError:
        return None
    form = PreparedInput("uint8", pipeline.shape, pipeline.pixels_hash)
    same = (index.source_hash, index.missing, index.form) == (source_hash, missing, form)
    return index if same and find_reordered(index.class_names, read_names(pipeline.recipe) or ()) is None else None


def _is_made_of(index: PackIndex, images: Sequence[LabelledImage], decode_workers: int, progress: Progress) -> bool:
    """Whether the image files have the bytes that they were packed from: size and time of change are no proof."""
    packed = {image: int(sha256[:16], 16) for image, sha256 in zip(index.ids, index.source_sha256, strict=True)}
    contents = read_contents(images, decode_workers, "pack", progress).tolist()
    changed = [image.id for image, content in zip(images, contents, strict=True) if packed[image.id] != content]
    if changed:
        shown = count_names("image files have changed since they were packed", changed)
        progress(Update("pack", note=f"{shown}: they are packed again"))
    return not changed


def _check_room(folder: Path, output: Path, size_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise StorageError(
            f"{output} takes {size_bytes:,} bytes, and {free:,} are free", "make room, or choose another --output"
        )


Facts = tuple[int, str, int]
"""Size and sha256 of an image file, crc32 of its pixels."""


def _write_pixels(
    file: BinaryIO, images: Sequence[LabelledImage], pipeline: InputPipeline, decode_workers: int, progress: Progress
) -> list[Facts]:
    facts: list[Facts] = []
    start = time.perf_counter()
    with closing(load_ahead(images, lambda image: _decode(image, pipeline), decode_workers)) as decoded:
        for pixels, facts_of_one in decoded:
            file.write(pixels.data)
            facts.append(facts_of_one)
            rate = len(facts) / (time.perf_counter() - start)
            progress(Update("pack", len(facts), len(images), "images", {"images/s": f"{rate:.0f}"}))
    return facts


def _decode(image: LabelledImage, pipeline: InputPipeline) -> tuple[NDArray[np.uint8], Facts]:
    data = image.read()
    pixels = np.ascontiguousarray(pipeline.decode(data, str(image)))
    return pixels, (len(data), hash_bytes(data), zlib.crc32(pixels.data))


def _describe(listing: ImageListing, source_hash: str, pipeline: InputPipeline, facts: Sequence[Facts]) -> PackIndex:
    return PackIndex(
        recipe=pipeline.recipe.name,
        preprocess_hash=pipeline.pixels_hash,
        shape=pipeline.shape,
        source_hash=source_hash,
        missing=listing.missing,
        ids=tuple(image.id for image in listing.images),
        labels=tuple(image.label for image in listing.images),
        class_names=read_names(pipeline.recipe) or (),
        source_bytes=tuple(size for size, _, _ in facts),
        source_sha256=tuple(sha256 for _, sha256, _ in facts),
        crc32=tuple(crc32 for _, _, crc32 in facts),
    )


def _write_index(file: BinaryIO, index: PackIndex) -> None:
    offset = file.tell()
    data = write_json(index).encode()
    file.write(data)
    file.seek(0)
    file.write(FRONT.pack(MAGIC, offset, len(data), hashlib.sha256(data).digest()))
