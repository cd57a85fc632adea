"""Bins as images that were preprocessed before: what they are, and which label is whose."""

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from seatrial.data.bins.contents import BinContent, find_contents
from seatrial.data.bins.write import MANIFEST, BinManifest
from seatrial.data.images import ImageListing, LabelledImage, PreparedInput
from seatrial.data.label_files import read_label_file
from seatrial.data.names import count_names, index_unique
from seatrial.data.sources.request import Request, label_images, require_labels
from seatrial.errors import DataError, cannot_read
from seatrial.progress import Update
from seatrial.recipes.steps import Size

BIN = ".bin"


def read_bin_folder(request: Request) -> ImageListing:
    """The bins directly in a folder, hidden ones left out.

    Raises:
        DataError: no label file, names that do not agree, or bins of unknown or differing size.
    """
    names = [entry.name for entry in os.scandir(request.source) if not entry.name.startswith(".")]
    paths = [request.source / name for name in names if name.lower().endswith(BIN)]
    by_id = require_labels(request, "a folder of bins", [path.name for path in paths], read_label_file)
    form = find_form(paths, request)
    images = (LabelledImage(i, path, -1, prepared=form) for i, path in name_bins_by_id(paths, by_id).items())
    return add_contents(label_images(images, by_id, request), request)


def add_contents(listing: ImageListing, request: Request) -> ImageListing:
    """The same bins with their checksums and image files of `bins.contents`, where there is one.

    Raises:
        DataError: a bin was added to its folder later.
    """
    contents = find_contents([image.path for image in listing.images])
    for folder in sorted({image.path.parent for image in listing.images if image.path not in contents}):
        if (folder / MANIFEST).exists():
            note = f"the bins of {folder} have no checksums, so changed ones go unnoticed"
            request.progress(Update("images", note=f"{note}; running `seatrial preprocess` again adds them"))
    return replace(listing, images=tuple(_add_content(image, contents.get(image.path)) for image in listing.images))


def _add_content(image: LabelledImage, known: BinContent | None) -> LabelledImage:
    if known is None:
        return image
    return replace(image, content=(known.image_bytes, known.image_sha256), prepared_hash=known.hash)


def name_bins_by_id(paths: Iterable[Path], by_id: Mapping[str, int]) -> dict[str, Path]:
    """Bins by the ids of the images that they were made of; both are matched up to the first dot of their names.

    A bin that belongs to none keeps its own name.

    Raises:
        DataError: two ids or two bins are the same up to there.
    """
    ids = index_unique(
        by_id,
        lambda image: image.split(".")[0],
        lambda _, a, b: DataError(
            f"'{a}' and '{b}' of the label file would have bins of one name", "rename one of them"
        ),
    )
    return index_unique(
        dict.fromkeys(paths),
        lambda path: ids.get(path.name.split(".")[0], path.name),
        lambda image, a, b: DataError(f"{a} and {b} both belong to '{image}'", "remove one of them"),
    )


def find_form(paths: Sequence[Path], request: Request, size: Size | None = None) -> PreparedInput:
    """The format of the bins: by their `bins.json`, else by their size in bytes.

    Args:
        size: height and width, where something says them.

    Raises:
        DataError: they are of several forms, their size fits no format, or some are of another size than the rest.
    """
    sizes = _measure(paths)
    most = Counter(sizes.values()).most_common(1)[0][0]
    manifests = [path / MANIFEST for path in {path.parent for path in paths}]
    forms = {BinManifest.load(path).form if path.exists() else None for path in manifests}
    if len(forms) > 1:
        raise DataError(f"the bins of {request.source} are of {len(forms)} preprocessings", "give those of one folder")
    stated = forms.pop()
    form = stated or _judge(most, request, size)
    if size is not None and form.size not in (None, size):
        raise DataError(
            f"{request.source} says height×width {size[0]}×{size[1]}, and its bins are {form}",
            "`seatrial preprocess --info FILE` writes one that is right",
        )
    wrong = sorted(str(path) for path, found in sizes.items() if found != form.size_bytes)
    if wrong:
        raise DataError(
            f"of {len(paths)} bins, {count_names(f'do not have {form.size_bytes} bytes', wrong)}",
            "remove them and run `seatrial preprocess` again",
        )
    if stated is None:
        note = f"{request.source} has no {MANIFEST} that says how its bins were preprocessed: by their size they are "
        request.progress(Update("images", note=f"{note}{form}"))
    return form


def _measure(paths: Sequence[Path]) -> dict[Path, int]:
    sizes = {}
    for path in paths:
        try:
            sizes[path] = os.stat(path).st_size
        except OSError as error:
            raise cannot_read(str(path), error) from None
    return sizes


def _judge(size_bytes: int, request: Request, size: Size | None) -> PreparedInput:
    """The one form of this many bytes: the engine's input, else RGB pixels or floats of a known size, else a square."""
    expected = request.expected
    known_size = size or (None if expected is None else expected.size)
    pixels_side, floats_side = (math.isqrt(size_bytes // each) for each in (3, 12))
    forms = [
        PreparedInput.pixels(known_size or (pixels_side, pixels_side)),
        PreparedInput.floats(known_size or (floats_side, floats_side)),
    ]
    if expected is not None:
        forms.insert(0, PreparedInput(expected.dtype, expected.shape, None))
    fitting = [form for form in dict.fromkeys(forms) if form.size_bytes == size_bytes]
    if not fitting or (known_size is None and expected is None and len(fitting) > 1):
        tried = " nor ".join(str(form) for form in fitting or dict.fromkeys(forms))
        state = tried.replace("nor", "or") if fitting else f"neither {tried}"
        raise DataError(
            f"the bins of {request.source} have {size_bytes} bytes each: {state}",
            f"`seatrial preprocess` writes a {MANIFEST} that says what they are",
        )
    return fitting[0]
