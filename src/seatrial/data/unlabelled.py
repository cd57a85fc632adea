"""Folders of images that nobody labelled, and label files that somebody may have forgotten to name."""

import re
from pathlib import Path

from seatrial.data.image_files import is_image_name
from seatrial.data.images import LabelledImage
from seatrial.data.labels import check_folder, find_annotations, find_class_folders, list_by_suffix, read_labels
from seatrial.data.sources import read_unlabelled
from seatrial.errors import DataError, UsageError
from seatrial.foreign.files import open_regular
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe

TEXTS = (".txt", ".csv", ".tsv", ".json", ".lst")
HEAD_BYTES = 1 << 16
"""A label file names an image within so many bytes."""


def read_folder_set(
    images: Path, labels: Path | None, recipe: Recipe, unlabelled: bool, progress: Progress
) -> tuple[LabelledImage, ...]:
    """A folder's images with their classes; without, where these are not wanted, or it holds nothing but images.

    Raises:
        UsageError: labels are given and not wanted.
        DataError: as `read_labels`; or a file beside the images names them, so that it may have been forgotten.
    """
    if unlabelled and labels is not None:
        raise UsageError("--no-labels leaves the labels out, and --labels gives some", "give one of them")
    check_folder(images)
    if not unlabelled and (labels is not None or not _lacks_classes(images)):
        return read_labels(images, labels, recipe, progress)
    if not unlabelled:
        _refuse_forgotten(images)
    note = f"{images} has no labels: what is measured is agreement with the reference, and no accuracy"
    progress(Update("images", note=note))
    return read_unlabelled(images, progress=progress).images


def _lacks_classes(images: Path) -> bool:
    """Whether a folder holds images alone: no class folders, and no annotations of a known layout."""
    if find_annotations(images, silent) is not None or find_class_folders(images)[1]:
        return False
    return bool(list_by_suffix(images))


def _find_parent(folder: Path) -> Path:
    return folder.resolve().parent if folder.name in ("", "..") else folder.parent


def _refuse_forgotten(images: Path) -> None:
    """Refuse to do without labels where a file in the folder, or beside it, names its images.

    Raises:
        DataError: names the file.
    """
    paths = list_by_suffix(images)
    names = {name.encode() for path in paths for name in (path.name, path.stem) if not name.isdecimal()}
    for path in sorted(path for folder in (images, _find_parent(images)) for path in folder.iterdir()):
        if path.suffix.lower() not in TEXTS or not path.is_file() or is_image_name(path.name):
            continue
        with open_regular(path) as file:
            head = file.read(HEAD_BYTES)
        if not names.isdisjoint(re.split(rb"""[\s,;:"'/\\]+""", head)):
            raise DataError(
                f"{images} holds no class folders, and {path} names its images",
                f"give --labels {path}, or --no-labels to judge by agreement with the reference alone",
            )
