"""Which image has which class: ImageNet's layouts read into one list, every name accounted for."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from pathlib import Path
from typing import TypeVar

from seatrial.data.image_files import find_left_out, is_image_name
from seatrial.data.images import LabelledImage
from seatrial.errors import DataError

OTHER_CLASSES = "give the recipe of these classes, or the folder that holds all of them"
EVERY = "every image needs exactly one line"
LEFT_OUT = "move them out of it, or to the others with an image's suffix such as .jpg"
Notify = Callable[[str], None]
Key = TypeVar("Key")
Item = TypeVar("Item")


def read_labels(images: Path, labels: Path | None, classes: int) -> tuple[LabelledImage, ...]:
    """A labelled set in the order of its ids: a flat folder with a label file, or class folders.

    Raises:
        DataError: no such folder or file, a line that is no label, names that are missing on either side,
            or a class that the network does not have.
    """
    check_folder(images)
    if labels is None:
        return read_class_folders(images, classes)
    by_name = parse_label_file(labels)
    have = {p.name: p for p in list_images(images)}
    find_missing(by_name.keys(), have.keys(), labels, images)
    check_classes(by_name.items(), classes, str(labels))
    return tuple(LabelledImage(name, have[name], by_name[name]) for name in sorted(by_name))


def find_missing(
    named: Set[str], have: Set[str], labels: Path, source: Path | str, allow_partial: bool = False, fix: str = EVERY
) -> tuple[str, ...]:
    """Names of a label file that a source of images lacks, sorted.

    Raises:
        DataError: none of them is there, an image has no label, or, without `allow_partial`, some are missing.
    """
    missing, extra = sorted(named - have), sorted(have - named)
    if missing and len(missing) == len(named):
        other = "the folder" if Path(source).is_dir() else "the other"
        raise DataError(
            f"{labels} names other images than {source} holds (it begins with '{missing[0]}', {other} with "
            f"{repr(extra[0]) if extra else 'no image at all'})",
            "give the label file that belongs to this folder" if Path(source).is_dir() else "give its own label file",
        )
    if extra or (missing and not allow_partial):
        raise DataError(
            f"{labels} and {source} do not agree: {count_names('labelled but not there', missing)}, "
            f"{count_names('there but not labelled', extra)}",
            fix,
        )
    return tuple(missing)


def parse_label_file(path: Path) -> dict[str, int]:
    """Classes by file name from lines `NAME CLASS` (the guides' val_label.txt).

    Raises:
        DataError: names the first line that is not of this form, or a name that is listed twice.
    """
    by_name: dict[str, int] = {}
    for number, line in enumerate(read_text_lines(path, "label file", "give --labels FILE"), start=1):
        if not line.strip():
            continue
        pair = split_label_line(line)
        if pair is None:
            raise DataError(f"{path}:{number}: '{line[:80]}' is not `NAME CLASS`", "mend the line")
        name, label = pair
        if name in by_name:
            raise DataError(f"{path}:{number}: '{name}' is listed twice", "remove one of the lines")
        by_name[name] = label
    if not by_name:
        raise DataError(f"label file {path} is empty", "give --labels another file")
    return by_name


def read_text_lines(path: Path, what: str, fix: str = "give a text file") -> list[str]:
    """The lines of a text file.

    Raises:
        DataError: it is not there, or not text; calls it `what`.
    """
    try:
        # Windows editors put a byte order mark in front.
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise DataError(f"{what} {path} cannot be read ({reason})", fix) from None


def split_label_line(line: str) -> tuple[str, int] | None:
    """Name and class of a line `NAME CLASS`; None if it is another."""
    words = line.strip().rsplit(maxsplit=1)
    if len(words) < 2 or not words[1].isascii() or not words[1].isdigit():
        return None
    return words[0], int(words[1])


def read_class_folders(root: Path, classes: int, notify: Notify | None = None) -> tuple[LabelledImage, ...]:
    """Images of `root/CLASS/NAME`, classes numbered in the order of the folders' names (torchvision's ImageFolder).

    Args:
        notify: as for `refuse_left_out`.

    Raises:
        DataError: no folders, an empty one, more than the network has classes, or images that lie elsewhere in `root`.
    """
    check_folder(root)
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise DataError(f"{root} holds no class folders", "give --labels FILE for a flat folder")
    if len(folders) != classes:
        raise DataError(f"{root} has {len(folders)} class folders, the network {classes} classes", OTHER_CLASSES)
    images = []
    for label, folder in enumerate(folders):
        files = list_by_suffix(folder)
        if not files:
            raise DataError(f"class folder {folder} holds no images", "remove it, or add its images")
        images += [LabelledImage(f"{folder.name}/{p.name}", p, label) for p in files]
    refuse_left_out(root, {image.id for image in images}, notify)
    return tuple(images)


def list_images(folder: Path, notify: Notify | None = None) -> list[Path]:
    """Image files directly in `folder`, sorted by name; known by suffix, hidden ones left out.

    Args:
        notify: as for `refuse_left_out`.

    Raises:
        DataError: there is no such folder, or it holds some such files and other images too.
    """
    paths = list_by_suffix(folder)
    if paths:
        refuse_left_out(folder, {path.name for path in paths}, notify)
    return paths


def list_by_suffix(folder: Path) -> list[Path]:
    """As `list_images`, whatever else the folder holds.

    Raises:
        DataError: there is no such folder.
    """
    check_folder(folder)
    return sorted(p for p in folder.iterdir() if is_image_name(p.name) and not p.name.startswith("."))


def refuse_left_out(root: Path, taken: Set[str], notify: Notify | None = None) -> None:
    """Refuse a folder that has images besides those that are taken, or report them.

    Args:
        taken: paths seen from `root`.
        notify: gets a line that names them; None refuses them.

    Raises:
        DataError: names the first ones and how many there are.
    """
    others = find_left_out(root, taken)
    if not others:
        return
    shown = f"{root} holds {count_names('images that would be left out', others)}"
    if notify is None:
        raise DataError(shown, LEFT_OUT)
    notify(shown.replace("would be", "are"))


def read_image_list(path: Path) -> list[Path]:
    """Paths from a text file, one a line, relative ones seen from the file's folder.

    Raises:
        DataError: no such file, an empty one, or a path that is not there.
    """
    paths = [path.parent / line.strip() for line in read_text_lines(path, "image list") if line.strip()]
    gone = next((p for p in paths if not p.is_file()), None)
    if gone or not paths:
        raise DataError(f"{path} names {gone}, which is not there" if gone else f"{path} is empty", "mend the list")
    return paths


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """At most `count` of the paths, evenly spaced."""
    step = max(1, len(paths) / count)
    return [paths[int(i * step)] for i in range(min(count, len(paths)))]


def check_folder(folder: Path) -> None:
    """Refuse what is no folder.

    Raises:
        DataError: nothing there, or a file.
    """
    if not folder.is_dir():
        state = "is a file, not a folder" if folder.exists() else "is not there"
        raise DataError(f"image folder {folder} {state}", "check its path")


def check_classes(labels: Iterable[tuple[str, int]], classes: int, source: str) -> None:
    """Refuse a class that the network does not have.

    Raises:
        DataError: names the first and how many there are.
    """
    counted = Counter(label for _, label in labels)
    beyond = sorted(label for label in counted if label >= classes)
    if beyond:
        fix = (
            "labels count from 0: subtract 1"
            if beyond == [classes] and 0 not in counted
            else "is this the right recipe?"
        )
        raise DataError(
            f"{source} has class {beyond[0]} ({counted[beyond[0]]} images), the network has classes 0..{classes - 1}",
            fix,
        )


def index_unique(
    items: Iterable[Item], key: Callable[[Item], Key], refuse: Callable[[Key, Item, Item], DataError]
) -> dict[Key, Item]:
    """Items by a key that no two of them share.

    Raises:
        DataError: two do; `refuse` makes it of the key and both items.
    """
    found: dict[Key, Item] = {}
    for item in items:
        first = found.setdefault(key(item), item)
        if first is not item:
            raise refuse(key(item), first, item)
    return found


def count_names(what: str, names: Sequence[str]) -> str:
    """How many names there are of what, and the first three."""
    shown = ", ".join(f"'{n}'" for n in names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} {what}" + (f" ({shown})" if names else "")
