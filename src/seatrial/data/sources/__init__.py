"""Where labelled images can come from: one function for folders, lists, bins, archives and packs."""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from seatrial.data.archives.tar_stream import COMPRESSED
from seatrial.data.classes import UNKNOWN, Classes
from seatrial.data.image_files import is_image_name
from seatrial.data.images import UNLABELLED, ImageListing, LabelledImage, PreparedInput
from seatrial.data.labels import find_annotations, list_images, name_images, read_class_folders, refuse_left_out
from seatrial.data.names import count_names
from seatrial.data.sources.bin_files import BIN, read_bin_folder
from seatrial.data.sources.lists import read_info_list, read_list
from seatrial.data.sources.pack_file import MAGIC, read_packed
from seatrial.data.sources.request import Request, label_images, require_labels
from seatrial.data.sources.shards import expand_braces, read_shards
from seatrial.errors import DataError
from seatrial.foreign.files import is_regular, open_regular
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe

KINDS = (
    "images are given as a folder (of images, class folders, .bin files or .tar archives), a .tar or "
    "'shard-{000..012}.tar', a pack, an .info file, or a text file of paths"
)
TAR = re.compile(r"\.(tar(\.(gz|bz2|xz|zst))?|tgz|tbz2?|txz)$", re.IGNORECASE)


def read_images(
    source: Path | str,
    labels: Path | None,
    classes: Recipe | Classes | int,
    allow_partial: bool = False,
    expected: PreparedInput | None = None,
    progress: Progress = silent,
) -> ImageListing:
    """A labelled set in the order of its ids, whatever kind of source it is; no image is decoded.

    Args:
        classes: the network's: its recipe, or their number where names make no difference.
        allow_partial: do without images that have a label but are not there; the listing and a note name them.
        expected: what the engine takes (`data.preprocessing.check_prepared.describe_input`): says what bins without a
            `bins.json` are.

    Raises:
        DataError: nothing there, none of the known kinds, names that do not agree, or classes that the network lacks.
        RefusedFile: an archive or a pack is damaged or unsafe.
    """
    request = Request(Path(source), labels, Classes.of(classes), allow_partial, expected, progress)
    listing = _read_kind(request)
    if listing.missing:
        missing = count_names("labelled images are not there", listing.missing)
        progress(Update("images", note=f"{missing}: {len(listing.images)} are taken"))
    return listing


def read_unlabelled(
    source: Path | str,
    allow_partial: bool = False,
    expected: PreparedInput | None = None,
    progress: Progress = silent,
) -> ImageListing:
    """The images of a source as `read_images`, without their classes, whatever it says of them.

    Raises:
        DataError: nothing there, or none of the known kinds.
        RefusedFile: an archive or a pack is damaged or unsafe.
    """
    return _read_kind(Request(Path(source), None, UNKNOWN, allow_partial, expected, progress, unlabelled=True))


def _read_kind(request: Request) -> ImageListing:
    source = request.source
    if source.is_dir():
        return read_folder(request)
    if "{" in str(source) and not source.exists():
        return read_shards(expand_braces(str(source)), request)
    head = _read_head(source)
    if head.startswith(MAGIC):
        return read_packed(request)
    if source.suffix == ".tar" or head[257:262] == b"ustar" or head.startswith(tuple(COMPRESSED)):
        return read_shards([source], request)
    if source.suffix == ".info":
        return read_info_list(request)
    if b"\0" not in head:
        return read_list(request)
    raise DataError(f"{source} is no source of images", KINDS)


def _read_head(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(512)
    except OSError as error:
        raise DataError(f"images {path} cannot be read ({error.strerror})", KINDS) from None


def read_folder(request: Request) -> ImageListing:
    """A labelled set: class folders, or images with a label file, and where there are none of these, bins or archives.

    Raises:
        DataError: as the kind's own reader; or bins and archives lie side by side.
        RefusedFile: an archive is compressed, damaged or unsafe.
    """
    entries = [entry for entry in os.scandir(request.source) if not entry.name.startswith(".")]
    names = [entry.name for entry in entries]
    bins = any(name.lower().endswith(BIN) for name in names)
    archives = sorted(request.source / name for name in names if TAR.search(name))
    has_images = any(is_image_name(name) for name in names)
    has_classes = request.labels is None and any(os.path.isdir(entry) for entry in entries)
    if has_images or has_classes or not (bins or archives):
        return _read_images(request)
    if bins and archives:
        raise DataError(f"{request.source} holds bins and archives, such as {archives[0].name}", "give one of them")
    refuse_left_out(request.source, frozenset(), request.notify_left_out)
    return read_shards(archives, request) if archives else read_bin_folder(request)


def _read_images(request: Request) -> ImageListing:
    notify = request.notify_left_out
    if not request.unlabelled and request.labels is None:
        request = replace(request, labels=find_annotations(request.source, request.progress))
        if request.labels is None:
            found = read_class_folders(request.source, request.classes, notify, request.progress)
            gone = _find_gone({image.id: image.path for image in found}, request)
            there = tuple(image for image in found if image.id not in gone)
            return ImageListing(there, tuple(sorted(gone)))
    have = name_images(request.source, list_images(request.source, notify))
    images = (LabelledImage(name, path, UNLABELLED) for name, path in have.items())
    if request.unlabelled and not have:
        raise DataError(f"{request.source} holds no images", KINDS)
    by_id = require_labels(request, "a folder of images", have.keys())
    return label_images(images, by_id, request, _find_gone(have, request))


def _find_gone(paths: Mapping[str, Path], request: Request) -> frozenset[str]:
    """Of a set that may be partial, the ids of what is a link to nothing or to itself, or no file; not if all are."""
    if not request.allow_partial:
        return frozenset()
    gone = frozenset(image for image, path in paths.items() if not is_regular(path))
    return gone if len(gone) < len(paths) else frozenset()
