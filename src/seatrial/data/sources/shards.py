"""Images in tar archives, in WebDataset's naming or in class folders; they stay there and are read by offset."""

import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from seatrial.data.archives.tar_stream import read_index
from seatrial.data.classes import number_folders
from seatrial.data.image_files import HEAD_BYTES, is_image_head, is_image_name
from seatrial.data.images import UNLABELLED, ImageListing, LabelledImage
from seatrial.data.label_files import read_image_labels
from seatrial.data.labels import LEFT_OUT
from seatrial.data.names import count_names, index_unique
from seatrial.data.sources.request import Request, label_images
from seatrial.errors import DataError
from seatrial.foreign.files import open_regular
from seatrial.foreign.parse import Unparsable, is_number, parse_json
from seatrial.progress import Update

LONGEST_LABEL = {"cls": 64, "json": 1 << 20}
"""Members that may have an image's class, by suffix, and the most bytes of one; the first that has it counts."""
MOST_SHARDS = 1_000_000
FIX = 'give every image a NAME.cls, or a NAME.json with a whole number as "label", or --labels FILE'


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of archives, by key: a member's name up to the first dot of its last part."""

    images: dict[str, LabelledImage] = field(default_factory=dict)
    """Called as the member, still without a label."""
    classes: dict[str, dict[str, int]] = field(default_factory=lambda: {suffix: {} for suffix in LONGEST_LABEL})
    """By the suffix of the member."""
    left_out: list[str] = field(default_factory=list)
    """Images by their first bytes, but not by their names."""

    def add_image(self, key: str, image: LabelledImage) -> None:
        """Take an image in.

        Raises:
            DataError: its key has one already.
        """
        first = self.images.setdefault(key, image)
        if first is not image:
            where = f"'{first.id}' of {first.path} and '{image.id}' of {image.path}"
            raise DataError(f"{where} have one key, '{key}'", "rename one of them: a key ends at the first dot")

    def add_class(self, key: str, suffix: str, label: int | None, member: str) -> None:
        """Take in the class of a member of this suffix; JSON may be about other things, and have none.

        Raises:
            DataError: one of its kind is there already.
        """
        if key in self.classes[suffix]:
            raise DataError(f"{member} is there twice", "remove one of them")
        if label is not None:
            self.classes[suffix][key] = label


def read_shards(paths: Sequence[Path], request: Request) -> ImageListing:
    """The images of tar archives, labelled by the label file, by `.cls` or `.json` members, or by their folders.

    Raises:
        DataError: an image without a class or a class without an image, a name that is there twice, or no images.
        RefusedFile: an archive is compressed, damaged or unsafe.
    """
    gone = [str(path) for path in paths if not path.is_file()]
    if gone:
        raise DataError(
            f"of {len(paths)} archives, {count_names('are not there', gone)}", "check their path and numbers"
        )
    contents = Contents()
    for done, path in enumerate(paths, start=1):
        _read_shard(path, contents, request.labels is None and not request.unlabelled)
        request.progress(Update("images", done, len(paths), "archives", {"images": f"{len(contents.images):,}"}))
    if contents.left_out:
        _refuse_left_out(contents.left_out, request)
    if not contents.images:
        raise DataError(
            f"{request.source} holds no images", "`seatrial data prepare` unpacks ImageNet's own archives of archives"
        )
    if request.labels is not None:
        named = _name_by_base(contents.images.values())
        by_id = read_image_labels(request.labels, named.keys(), request.classes)
        return label_images(named.values(), by_id, request)
    if request.unlabelled:
        ids = [image.id for image in contents.images.values()]
        return label_images(contents.images.values(), dict.fromkeys(ids, UNLABELLED), request)
    if any(contents.classes.values()):
        by_id = {image: label + request.classes.offset for image, label in _match_classes(contents).items()}
        return label_images(contents.images.values(), by_id, request)
    return label_images(*_read_class_folders(contents.images.values(), request), request)


def _read_shard(path: Path, contents: Contents, with_classes: bool) -> None:
    """Take in what an archive holds; hidden members, and what is neither image nor class, are passed over."""
    with open_regular(path) as file:
        for name, offset, size_bytes in read_index(path):
            folder, _, base = name.rpartition("/")
            stem, _, rest = base.partition(".")
            key = f"{folder}/{stem}" if folder else stem
            if not stem:
                continue
            if is_image_name(f".{rest}"):
                contents.add_image(key, LabelledImage(name, path, -1, (offset, size_bytes)))
            elif with_classes and rest.lower() in LONGEST_LABEL:
                data = os.pread(file.fileno(), min(size_bytes, LONGEST_LABEL[rest.lower()] + 1), offset)
                label = _read_class(data, rest.lower(), f"'{name}' of {path} ({size_bytes:,} bytes)")
                contents.add_class(key, rest.lower(), label, f"'{name}' of {path}")
            elif is_image_head(os.pread(file.fileno(), min(HEAD_BYTES, size_bytes), offset)):
                contents.left_out.append(f"{name} of {path}")


def _refuse_left_out(names: Sequence[str], request: Request) -> None:
    shown = f"{request.source} holds {count_names('images without a suffix such as .jpg', names)}"
    if request.notify_left_out is None:
        raise DataError(shown, LEFT_OUT)
    request.notify_left_out(f"{shown}: they are left out")


def expand_braces(pattern: str) -> list[Path]:
    """The paths of `shard-{000..012}.tar`; numbers keep their zeros.

    Raises:
        DataError: a range of another form, or with more numbers than archives can be.
    """
    parts: list[list[str]] = []
    count = 1
    for index, part in enumerate(re.split(r"\{(\d+\.\.\d+)\}", pattern)):
        if index % 2 == 0:
            parts.append([part])
            continue
        first, last = part.split("..")
        count *= max(0, int(last) + 1 - int(first))
        if not 0 < count <= MOST_SHARDS or (len(first) != len(last) and first.startswith("0")):
            raise DataError(f"'{{{part}}}' of {pattern} is no range", "write it like shard-{000..012}.tar")
        parts.append([f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)])
    return [Path("".join(words)) for words in itertools.product(*parts)]


def _name_by_base(images: Iterable[LabelledImage]) -> dict[str, LabelledImage]:
    """By the last part of their names, as label files have it."""
    found = index_unique(
        images,
        lambda image: image.id.rpartition("/")[2],
        lambda base, a, b: DataError(f"'{base}' is there twice, in {a.path} and in {b.path}", "rename one of them"),
    )
    return {base: replace(image, id=base) for base, image in found.items()}


def _match_classes(contents: Contents) -> dict[str, int]:
    """Classes by the name of their image, or by the key where there is none."""
    classes = {key: label for of_kind in reversed(contents.classes.values()) for key, label in of_kind.items()}
    bare = [f"{image.id} of {image.path}" for key, image in contents.images.items() if key not in classes]
    if bare:
        raise DataError(f"of {len(contents.images)} images, {count_names('have no class beside them', bare)}", FIX)
    return {contents.images[key].id if key in contents.images else key: label for key, label in classes.items()}


def _read_class(data: bytes, suffix: str, member: str) -> int | None:
    """The class in a `.cls` or `.json` member; None where JSON has none."""
    is_long = len(data) > LONGEST_LABEL[suffix]
    if suffix == "json":
        return None if is_long else _parse_json(data)
    if is_long or not is_number(data.strip().decode("ascii", "replace")):
        raise DataError(f"{member} is not a class in digits", FIX)
    return int(data)


def _parse_json(data: bytes) -> int | None:
    try:
        content = parse_json(data)
    except Unparsable:
        return None
    label = content.get("label") if isinstance(content, dict) else None
    return label if type(label) is int and label >= 0 else None


def _read_class_folders(
    images: Iterable[LabelledImage], request: Request
) -> tuple[list[LabelledImage], Mapping[str, int]]:
    """Images called CLASS/NAME and their classes, numbered by `data.classes.number_folders`."""
    found: list[LabelledImage] = []
    roots: dict[str, str] = {}
    for image in images:
        parts = image.id.rsplit("/", 2)
        if len(parts) == 1:
            raise DataError(f"{request.source} has no classes: '{image.id}' is in no folder", FIX)
        roots.setdefault("/".join(parts[:-2]), image.id)
        if len(roots) > 1:
            first, other = roots.values()
            raise DataError(f"class folders of {request.source} are in several places: '{first}' and '{other}'", FIX)
        found.append(replace(image, id="/".join(parts[-2:])))
    folders = sorted({image.id.partition("/")[0] for image in found})
    numbers = number_folders(
        folders, request.classes, request.source, lambda line: request.progress(Update("images", note=line))
    )
    return found, {image.id: numbers[image.id.partition("/")[0]] for image in found}
