"""Images that a folder holds: flat, in class folders, as bins, or in archives; its content decides which."""

import os
import re

from seatrial.data.image_files import is_image_name
from seatrial.data.images import ImageListing
from seatrial.data.labels import list_images, parse_label_file, read_class_folders, refuse_left_out
from seatrial.data.sources.bin_files import BIN, read_bin_folder
from seatrial.data.sources.request import ImageLocation, Request, label_places
from seatrial.data.sources.shards import read_shards
from seatrial.errors import DataError

TAR = re.compile(r"\.(tar(\.(gz|bz2|xz|zst))?|tgz|tbz2?|txz)$", re.IGNORECASE)


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
    has_classes = request.labels is None and any(entry.is_dir() for entry in entries)
    if has_images or has_classes or not (bins or archives):
        return _read_images(request)
    if bins and archives:
        raise DataError(f"{request.source} holds bins and archives, such as {archives[0].name}", "give one of them")
    refuse_left_out(request.source, frozenset(), request.notify_left_out)
    return read_shards(archives, request) if archives else read_bin_folder(request)


def _read_images(request: Request) -> ImageListing:
    if request.labels is None:
        return ImageListing(read_class_folders(request.source, request.classes, request.notify_left_out))
    places = {path.name: ImageLocation(path) for path in list_images(request.source, request.notify_left_out)}
    return label_places(places, parse_label_file(request.labels), request)
