"""A data set to train on: what lies under `train` and what under `val`, each any source of labelled images."""

import re
from collections.abc import Sequence, Set
from pathlib import Path

from seatrial.data.classes import find_folders
from seatrial.data.images import LabelledImage, PreparedInput
from seatrial.data.labels import find_annotations, list_folders
from seatrial.data.names import count_names
from seatrial.data.sources import read_images
from seatrial.errors import DataError
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe

KINDS = "a folder (of class folders, images with a label file, or .tar archives), a .tar, a .pack, or {name}-000.tar, …"
SHARD = re.compile(r"-(\d+)\.tar")
Source = tuple[Path, Path | None]
"""Where the images of one part lie (a file, a folder, or a name with a range of numbers in it), and their labels."""


def read_training_set(
    data: Path, classes: Recipe | int, progress: Progress = silent, expected: PreparedInput | None = None
) -> tuple[tuple[LabelledImage, ...], tuple[LabelledImage, ...]]:
    """Training and validation images of a data set, in the order of their ids.

    Each lies in `data` under its name, `train` or `val`, as one of `KINDS`; a NAME_label.txt beside it is its labels.

    Args:
        classes: the network's: its recipe, or their number where names make no difference.
        expected: the card's own pixels (`data.preprocessing.check_prepared.describe_input`), which a pack may
            hold; else none may.

    Raises:
        DataError: nothing there, classes that are in one part only, or labels and images that do not agree.
        RefusedFile: an archive or a pack is damaged or unsafe.
    """
    sources = {name: _find_source(data, name) for name in ("train", "val")}
    # A class that one of them lacks is named before it is missed by number.
    _compare_classes(data, *(_list_folders(source) for source in sources.values()))
    train, val = (_read_source(source, classes, progress, expected) for source in sources.values())
    _compare_classes(data, find_folders(train).keys(), find_folders(val).keys())
    if train[0].prepared is not None:
        height, width, _ = train[0].prepared.shape
        progress(Update("images", note=f"crops are taken from the {height}×{width} pixels of {sources['train'][0]}"))
    return train, val


def read_held_out(
    data: Path, classes: Recipe | int, progress: Progress = silent, expected: PreparedInput | None = None
) -> tuple[LabelledImage, ...]:
    """The validation images alone, as `read_training_set` gives them; there need be no others.

    Raises:
        DataError: nothing there, or labels and images that do not agree.
        RefusedFile: an archive or a pack is damaged or unsafe.
    """
    return _read_source(_find_source(data, "val"), classes, progress, expected)


def _read_source(
    source: Source, classes: Recipe | int, progress: Progress, expected: PreparedInput | None
) -> tuple[LabelledImage, ...]:
    images = read_images(*source, classes, expected=expected, progress=progress).images
    for image in images:
        form = image.prepared
        if form is not None and (expected is None or form.dtype != "uint8" or not form.fits(expected)):
            raise DataError(
                f"{image} was preprocessed, and not as the card crops its pixels", "give image files, or a pack of them"
            )
    return images


def _find_source(data: Path, name: str) -> Source:
    if not data.is_dir():
        raise DataError(f"data folder {data} is not there", "`seatrial data make-demo` makes one to try")
    there = [path for path in (data / name, data / f"{name}.tar", data / f"{name}.pack") if path.exists()]
    shards = sorted(path.name for path in data.glob(f"{name}-*.tar"))
    if shards:
        there.append(data / _join_shards(name, shards))
    if not there:
        raise DataError(f"{data} holds no '{name}'", KINDS.format(name=name))
    if len(there) > 1:
        names = " and ".join(path.name for path in there)
        raise DataError(
            f"{data} holds {names}", f"keep one of them, and rename the others to something else than '{name}'"
        )
    labels = data / f"{name}_label.txt"
    return there[0], labels if labels.exists() else None


def _join_shards(name: str, shards: Sequence[str]) -> str:
    """`train-{000..012}.tar`: the reader of it names missing numbers."""
    numbers = [match[1] for shard in shards if (match := SHARD.fullmatch(shard.removeprefix(name)))]
    if len(numbers) < len(shards) or len({len(number) for number in numbers}) > 1:
        raise DataError(
            f"{len(shards)} archives, first {shards[0]}, are not all named like {name}-000.tar", "rename them"
        )
    return f"{name}-{{{numbers[0]}..{numbers[-1]}}}.tar"


def _list_folders(source: Source) -> Set[str]:
    """Names of class folders; none for another kind of source."""
    root, labels = source
    if labels is not None or not root.is_dir() or find_annotations(root, silent) is not None:
        return set()
    return {path.name for path in list_folders(root)}


def _compare_classes(data: Path, train: Set[str], val: Set[str]) -> None:
    """Folders that the card has no names for are numbered in their order, so both parts must have the same."""
    if not train or not val or train == val:
        return
    parts = (("train", train - val), ("val", val - train))
    only = [count_names(f"only in {name}", sorted(names)) for name, names in parts if names]
    raise DataError(f"the class folders of {data} differ: {', '.join(only)}", "both must have the same")
