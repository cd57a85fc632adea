"""Which image has which class: ImageNet's layouts read into one list, every name accounted for."""

import os
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from seatrial.data.classes import Classes, Notify, check_classes, number_folders
from seatrial.data.image_files import find_left_out, is_image_name
from seatrial.data.images import LabelledImage
from seatrial.data.label_files import ANNOTATIONS, read_image_labels
from seatrial.data.names import count_names, index_unique, read_text_lines
from seatrial.errors import DataError
from seatrial.foreign.files import is_regular
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe

EVERY = "every image needs exactly one line"
LEFT_OUT = "move them out of it, or to the others with an image's suffix such as .jpg"


def read_labels(
    images: Path, labels: Path | None, classes: Recipe | Classes | int, progress: Progress = silent
) -> tuple[LabelledImage, ...]:
    """A labelled set in the order of its ids: images with a label file, or class folders (docs/data.md).

    Args:
        labels: None: `images` holds class folders, or is Tiny-ImageNet's val.
        classes: the network's: its recipe, or their number where names make no difference.

    Raises:
        DataError: no such folder or file, a line that is no label, names that are missing on either side,
            or a class that the network does not have.
    """
    check_folder(images)
    known, labels = Classes.of(classes), labels or find_annotations(images, progress)
    if labels is None:
        return read_class_folders(images, known, None, progress)
    have = name_images(images, list_images(images))
    by_id = read_image_labels(labels, have.keys(), known)
    find_missing(by_id.keys(), have.keys(), labels, images)
    check_classes(by_id.items(), known, str(labels))
    return tuple(LabelledImage(name, have[name], by_id[name]) for name in sorted(by_id))


def find_annotations(images: Path, progress: Progress) -> Path | None:
    """The label file of Tiny-ImageNet's validation images, in their folder, or beside the one called images."""
    for folder in (images, *([images.parent] if images.name == "images" else [])):
        if (folder / ANNOTATIONS).is_file():
            progress(Update("images", note=f"labels are from {folder / ANNOTATIONS}"))
            return folder / ANNOTATIONS
    return None


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


def read_class_folders(
    root: Path, classes: Recipe | Classes | int, notify: Notify | None = None, progress: Progress = silent
) -> tuple[LabelledImage, ...]:
    """Images of `root/CLASS/NAME`, classes numbered by `data.classes.number_folders`; in the order of folders as text.

    Images may lie in the only folder of their class, and class folders in the only folder of `root`.

    Args:
        notify: as for `refuse_left_out`.

    Raises:
        DataError: no folders, an empty one, names that do not fit the network's classes, or images that lie elsewhere.
    """
    place, folders = find_class_folders(root)
    if not folders:
        raise _describe_flat(root)
    names = [folder.name for folder in folders]
    numbers = number_folders(names, Classes.of(classes), place, lambda line: progress(Update("images", note=line)))
    images: list[LabelledImage] = []
    taken: set[str] = set()
    for folder in folders:
        files = list_class(folder)
        if not files:
            raise DataError(f"class folder {folder} holds no images", "remove it, or add its images")
        images += [LabelledImage(f"{folder.name}/{p.name}", p, numbers[folder.name]) for p in files]
        taken |= {p.relative_to(root).as_posix() for p in files}
    refuse_left_out(root, taken, notify)
    return tuple(images)


def _describe_flat(root: Path) -> DataError:
    """Why a folder without class folders cannot be read without labels."""
    others = () if list_by_suffix(root) else sorted(path.name for path in root.iterdir() if path.is_file())
    if others:
        return DataError(
            f"{root} holds no class folders and no images; it has '{others[0]}'",
            "unpack the images into a folder for each class; tar files and WebDataset shards are read as they are",
        )
    return DataError(
        f"{root} holds no class folders",
        "give --labels FILE for a flat folder; `run` and `evaluate` judge without labels with --no-labels",
    )


def find_class_folders(root: Path) -> tuple[Path, list[Path]]:
    """Class folders, sorted by name, and where they lie: in `root`, or in its only folder, which has no images itself.

    Raises:
        DataError: there is no such folder.
    """
    check_folder(root)
    folders = list_folders(root)
    if len(folders) == 1 and len(list_folders(folders[0])) > 1 and not list_by_suffix(folders[0]):
        return folders[0], list_folders(folders[0])
    return root, folders


def list_folders(root: Path) -> list[Path]:
    """Folders directly in `root`, sorted by name, hidden ones left out."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def list_class(folder: Path) -> list[Path]:
    """The images of a class folder, or of the only folder in it that has some; sorted by name.

    Raises:
        DataError: they lie deeper, or in several folders.
    """
    files = list_by_suffix(folder)
    within = [] if files else [found for below in list_folders(folder) if (found := list_by_suffix(below))]
    if files or len(within) == 1:
        return files or within[0]
    deeper = find_left_out(folder, frozenset())
    if deeper:
        shown = count_names("lie deeper", deeper)
        raise DataError(
            f"class folder {folder} holds no images itself: {shown}", "give the folder whose folders are the classes"
        )
    return []


def list_images(folder: Path, notify: Notify | None = None) -> list[Path]:
    """Image files in `folder`, sorted by name; known by suffix, hidden ones left out.

    Where none lies directly in it, those of the folders below, all at one depth, sorted by path: class folders, too.

    Args:
        notify: as for `refuse_left_out`.

    Raises:
        DataError: there is no such folder, or it holds some such files and other images too.
    """
    paths = list_by_suffix(folder)
    if not paths:
        deeper = [name for name in find_left_out(folder, frozenset()) if is_image_name(name)]
        depth = min((name.count("/") for name in deeper), default=0)
        paths = [folder / name for name in deeper if name.count("/") == depth]
    if paths:
        refuse_left_out(folder, {path.relative_to(folder).as_posix() for path in paths}, notify)
    return paths


def name_images(root: Path, paths: Sequence[Path]) -> Mapping[str, Path]:
    """Images by their file names, or where two share one, by their paths seen from `root`."""
    by_name = {path.name: path for path in paths}
    return by_name if len(by_name) == len(paths) else {path.relative_to(root).as_posix(): path for path in paths}


def list_by_suffix(folder: Path) -> list[Path]:
    """Image files directly in `folder`, sorted by name, whatever else it holds.

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
        DataError: no such file, an empty one, or a path that is not there, or is listed twice.
    """
    paths = [path.parent / line.strip() for line in read_text_lines(path, "image list") if line.strip()]
    gone = next((p for p in paths if not is_regular(p)), None)
    if gone or not paths:
        raise DataError(f"{path} names {gone}, which is not there" if gone else f"{path} is empty", "mend the list")
    index_unique(
        paths,
        os.path.abspath,
        lambda _, a, b: DataError(f"{path} names {a} twice", "remove one of the lines"),
    )
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
        near = None if folder.exists() else find_other_case(folder)
        raise DataError(f"image folder {folder} {state}", f"did you mean {near}?" if near else "check its path")


def find_other_case(path: Path) -> Path | None:
    """What is there under the same name in other letters, large or small; None where nothing or more than one is."""
    found = Path(path.anchor)
    for part in path.parts[1:] if path.anchor else path.parts:
        if not (found / part).exists():
            names = os.listdir(found) if os.access(found, os.R_OK) and found.is_dir() else []
            same = [name for name in names if name.casefold() == part.casefold()]
            if len(same) != 1:
                return None
            part = same[0]
        found /= part
    return found
