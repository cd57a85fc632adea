"""The images of a pack, with the labels that it holds."""

from collections.abc import Sequence
from pathlib import Path

from seatrial.data.images import ImageListing, LabelledImage
from seatrial.data.labels import check_classes, count_names, parse_label_file
from seatrial.data.sources.pack_file import list_packed, open_pack
from seatrial.data.sources.request import Request, match_ids
from seatrial.errors import DataError


def read_packed(request: Request) -> ImageListing:
    """The images of a pack; a label file, if there is one, must say the same.

    Raises:
        DataError: the label file says otherwise, or the network lacks a class.
        RefusedFile: it is cut off or damaged.
    """
    index = open_pack(request.source)
    images = list_packed(index, request.source)
    check_classes(zip(index.ids, index.labels, strict=True), request.classes, str(request.source))
    if index.missing and not request.allow_partial:
        shown = count_names("labelled images that were not there", index.missing)
        raise DataError(f"{request.source} was packed without {shown}", "--allow-partial does without them")
    missing = () if request.labels is None else _compare_labels(images, request.labels, request)
    return ImageListing(images, tuple(sorted({*index.missing, *missing})), index.source_hash)


def _compare_labels(images: Sequence[LabelledImage], labels: Path, request: Request) -> tuple[str, ...]:
    by_id = parse_label_file(labels)
    missing = match_ids(by_id.keys(), {image.id for image in images}, request)
    others = [image.id for image in images if by_id[image.id] != image.label]
    if others:
        shown = count_names("images have another class in the pack", others)
        raise DataError(
            f"{labels} and {request.source} do not agree: {shown}", "leave out --labels, or pack them again"
        )
    return missing
