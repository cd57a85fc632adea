"""A request for labelled images, and how images get their labels."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from seatrial.data.classes import Classes, Notify, check_classes
from seatrial.data.images import UNLABELLED, ImageListing, LabelledImage, PreparedInput
from seatrial.data.label_files import read_image_labels
from seatrial.data.labels import EVERY, find_missing
from seatrial.data.names import index_unique
from seatrial.errors import DataError
from seatrial.progress import Progress, Update, silent

PARTIAL = f"{EVERY}; --allow-partial does without those that are not there"


@dataclass(frozen=True, slots=True)
class Request:
    """Which images, and with which labels."""

    source: Path
    labels: Path | None
    classes: Classes
    """The network's."""
    allow_partial: bool = False
    expected: PreparedInput | None = None
    """What the engine takes: settles what bins are that do not say it themselves."""
    progress: Progress = silent
    unlabelled: bool = False
    """Do without classes, whatever the source says of them."""

    @property
    def notify_left_out(self) -> Notify | None:
        """What is done about images that are not part of the set: see `data.labels.refuse_left_out`."""
        return (lambda line: self.progress(Update("images", note=line))) if self.allow_partial else None


def label_images(
    found: Iterable[LabelledImage], by_id: Mapping[str, int], request: Request, gone: Set[str] = frozenset()
) -> ImageListing:
    """Give images their labels by id; those in `gone` are known by name only.

    Raises:
        DataError: ids are on one side only, without `allow_partial`, or the network lacks a class.
    """
    have = {image.id: image for image in found}
    missing = match_ids(by_id.keys(), have.keys(), request)
    if not request.unlabelled:
        check_classes(by_id.items(), request.classes, str(request.labels or request.source))
    there = (have[image] for image in sorted(have.keys() - gone))
    images = tuple(LabelledImage(i.id, i.path, by_id[i.id], i.span, i.prepared) for i in there)
    # One file under two ids, such as `a.jpg` and `./a.jpg`, would count twice.
    index_unique(
        images,
        lambda image: (os.path.abspath(image.path), image.span),
        lambda _, a, b: DataError(
            f"{request.source} names {b.path} twice, as '{a.id}' and as '{b.id}'", "leave one of them out"
        ),
    )
    return ImageListing(images, tuple(sorted({*gone, *missing})))


def match_ids(labelled: Set[str], have: Set[str], request: Request) -> tuple[str, ...]:
    """Ids that have a label but no image, sorted.

    Raises:
        DataError: ids are on one side only, without `allow_partial`.
    """
    fix = EVERY if request.allow_partial else PARTIAL
    return find_missing(labelled, have, request.labels or request.source, request.source, request.allow_partial, fix)


def require_labels(
    request: Request,
    what: str,
    names: Collection[str],
    read: Callable[[Path, Collection[str], Classes], dict[str, int]] = read_image_labels,
) -> dict[str, int]:
    """Classes by name, from the label file; `UNLABELLED` each where none are wanted.

    Args:
        names: of the images.
        read: reads the file.

    Raises:
        DataError: there is no label file, and `what` has no classes; or as `read`.
    """
    if request.unlabelled:
        return dict.fromkeys(names, UNLABELLED)
    if request.labels is None:
        raise DataError(f"{request.source} is {what}, which has no classes", "give --labels FILE")
    return read(request.labels, names, request.classes)
