"""Is a labelled set what it should be? All findings are reported at once, not only the first."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from seatrial.data.classes import Classes, number_folders
from seatrial.data.image_files import find_left_out
from seatrial.data.label_files import read_image_labels, split_label_line
from seatrial.data.labels import (
    check_folder,
    find_annotations,
    find_class_folders,
    list_class,
    list_images,
    name_images,
)
from seatrial.data.loading.prefetch import load_ahead
from seatrial.data.name_index import NameIndex
from seatrial.data.names import read_text_lines
from seatrial.data.preprocessing.decode import decode_image, read_file
from seatrial.errors import DataError
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.store.files import hash_bytes

SHOWN = 5
"""Examples kept with a finding."""
UPDATE_EVERY = 32
"""Images between two updates."""
NEAR_EMPTY = 0.1
"""A class with less than this share of the median class's images is reported."""
ILSVRC_IMAGES, ILSVRC_CLASSES = 50_000, 1000
_ILSVRC_NAME = re.compile(r"ILSVRC2012_val_[0-9]{8}\..+")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a data set, or may be."""

    level: Literal["error", "warning"]
    text: str
    examples: tuple[str, ...] = ()


def check_data(
    images: Path,
    label_file: Path | None,
    network: Recipe | Classes | int,
    expected: int | None = None,
    decode_workers: int = 1,
    progress: Progress = silent,
) -> tuple[Finding, ...]:
    """Read names, labels and every image, and list what is wrong; nothing, if the set can be used.

    Args:
        label_file: None: `images` holds class folders.
        network: its recipe, or the number of its classes where names make no difference.
        expected: how many images there must be.
        decode_workers: threads that decode.

    Raises:
        DataError: there is no such folder, or no label file that is text.
    """
    check_folder(images)
    known = Classes.of(network)
    classes = known.count
    label_file = label_file or find_annotations(images, progress)
    if label_file is None:
        paths, labels, findings = _read_folders(images, known, progress)
        by_path = dict(zip(paths, labels, strict=True))
    else:
        paths, by_name, findings = _read_flat(images, label_file, known)
        labels = list(by_name.values())
        by_path = {path: by_name[name] for name, path in name_images(images, paths).items() if name in by_name}
    findings += _check_left_out(paths, images)
    findings += _check_counts(paths, images, classes, expected)
    findings += _check_labels(labels, known)
    findings += _check_pixels(paths, by_path, decode_workers, progress)
    return tuple(sorted(findings, key=lambda finding: finding.level != "error"))


def _error(text: str, examples: Iterable[str] = ()) -> Finding:
    return Finding("error", text, tuple(examples)[:SHOWN])


def _warn(text: str, examples: Iterable[str] = ()) -> Finding:
    return Finding("warning", text, tuple(examples)[:SHOWN])


def _read_folders(root: Path, classes: Classes, progress: Progress) -> tuple[list[Path], list[int], list[Finding]]:
    """Images, their labels and what is wrong with a folder of class folders."""
    place, folders = find_class_folders(root)
    strays = sorted(p.name for p in place.iterdir() if not p.is_dir() and not p.name.startswith("."))
    findings = [_warn(f"{len(strays)} files lie beside the class folders", strays)] if strays else []
    names = [folder.name for folder in folders]
    try:
        numbers = number_folders(names, classes, place, lambda line: progress(Update("check", note=line)))
    except DataError as error:
        findings.append(_error(error.problem))
        numbers = {name: number for number, name in enumerate(names)}
    paths: list[Path] = []
    labels: list[int] = []
    for folder in folders:
        images = list_class(folder)
        paths += images
        labels += [numbers[folder.name]] * len(images)
    return paths, labels, findings


def _read_flat(images: Path, label_file: Path, classes: Classes) -> tuple[list[Path], dict[str, int], list[Finding]]:
    """Images, the labels of the label file and how the two do not fit."""
    paths = list_images(images, notify=lambda line: None)
    names = name_images(images, paths).keys()
    by_name, findings = _read_label_file(label_file, names, classes)
    missing, extra = sorted(by_name.keys() - names), sorted(names - by_name.keys())
    if missing:
        findings.append(_error(f"{len(missing)} images are labelled but not there", missing))
    if extra:
        findings.append(_error(f"{len(extra)} images are there but not labelled", extra))
    expected = {path.relative_to(images).parts[0] for path in paths}
    expected |= {label_file.name} if label_file.parent == images else set()
    foreign = sorted(p.name for p in images.iterdir() if p.name not in expected and not p.name.startswith("."))
    if foreign:
        findings.append(_warn(f"{len(foreign)} other files or folders lie among the images", foreign))
    return paths, by_name, [*findings, *_check_names(paths)]


def _read_label_file(path: Path, names: Collection[str], classes: Classes) -> tuple[dict[str, int], list[Finding]]:
    """Classes by image, and every line that is wrong where the lines are `NAME CLASS`, else what is wrong at first."""
    try:
        return read_image_labels(path, names, classes), []
    except DataError as error:
        by_name, findings = _read_lines(path, classes.offset)
        if bool(by_name) != bool(findings):
            findings = [_error(error.problem)]
    index = NameIndex(names)
    return {index.find(name) or name: label for name, label in by_name.items()}, findings


def _read_lines(path: Path, offset: int) -> tuple[dict[str, int], list[Finding]]:
    by_name: dict[str, int] = {}
    broken, twice = [], []
    for number, line in enumerate(read_text_lines(path, "label file", "give --labels FILE"), start=1):
        pair = split_label_line(line)
        if pair is None:
            broken += [f"line {number}: {line[:80]}"] if line.strip() else []
        elif pair[0] in by_name:
            same = "the same" if by_name[pair[0]] == pair[1] + offset else "another"
            twice.append(f"line {number}: {pair[0]} (with {same} class)")
        else:
            by_name[pair[0]] = pair[1] + offset
    findings = []
    if broken:
        findings.append(_error(f"{len(broken)} lines of {path} are not `NAME CLASS`", broken))
    if twice:
        findings.append(_error(f"{len(twice)} lines of {path} name an image again", twice))
    return by_name, findings


def _check_left_out(paths: Sequence[Path], root: Path) -> Iterator[Finding]:
    others = find_left_out(root, {path.relative_to(root).as_posix() for path in paths})
    if others:
        yield _error(f"{len(others)} images are not part of the set, by their place or name", others)


def _check_counts(paths: Sequence[Path], images: Path, classes: int, expected: int | None) -> Iterator[Finding]:
    complete = expected is not None or len(paths) == ILSVRC_IMAGES or classes != ILSVRC_CLASSES
    if not paths:
        yield _error(f"{images} holds no images")
    elif expected is not None and len(paths) != expected:
        yield _error(f"there are {len(paths)} images, not {expected}")
    elif not complete and all(_ILSVRC_NAME.fullmatch(path.name) for path in paths):
        yield _warn(f"these are {len(paths)} of the {ILSVRC_IMAGES} images of ILSVRC2012's validation set")


def _check_names(paths: Sequence[Path]) -> Iterator[Finding]:
    """Names that are one name to whatever cuts them at the first dot: bins and predictions."""
    by_stem = defaultdict(list)
    for path in paths:
        by_stem[path.name.split(".")[0]].append(path.name)
    alike = [" and ".join(names) for names in by_stem.values() if len(names) > 1]
    if alike:
        text = f"{len(alike)} names are shared up to the first dot, so their .bin files and predictions would be one"
        yield _warn(text, alike)


def _check_labels(labels: Collection[int], network: Classes) -> Iterator[Finding]:
    counts, classes = Counter(labels), network.count
    beyond = sorted(label for label in counts if not 0 <= label < classes)
    one_based = beyond == [classes] and 0 not in counts
    if beyond:
        affected = sum(counts[label] for label in beyond)
        why = ": they count from 1, so give the card `[labels] offset = -1`" if one_based else ""
        text = f"{affected} labels are not one of the network's classes 0..{classes - 1}{why}"
        yield _error(text, (f"class {label} ({counts[label]} images)" for label in beyond))
    elif 0 not in counts and len(counts) == classes - 1 and classes > 2:
        yield _warn("class 0 has no image and every other class has: are all labels shifted by one?")
    within = {label: counts[label] for label in range(classes)}
    if len(labels) == ILSVRC_IMAGES and classes == ILSVRC_CLASSES and not beyond:
        uneven = [f"{network.show(label)} ({count} images)" for label, count in within.items() if count != 50]
        if uneven:
            text = f"{len(uneven)} classes do not have the 50 images that each has in ILSVRC2012's validation set"
            yield _error(text, uneven)
    elif counts and not one_based:
        yield from _check_balance(within, network)


def _check_balance(counts: Mapping[int, int], network: Classes) -> Iterator[Finding]:
    empty = [label for label, count in counts.items() if count == 0]
    usual = median(count for count in counts.values() if count) if len(empty) < len(counts) else 0
    few = [f"{network.show(label)} ({n} images)" for label, n in counts.items() if 0 < n < NEAR_EMPTY * usual]
    if empty:
        yield _warn(f"{len(empty)} of {len(counts)} classes have no image", map(network.show, empty))
    if few:
        yield _warn(f"{len(few)} classes are nearly empty (the median class has {usual:g} images)", few)


def _check_pixels(
    paths: Sequence[Path], labels: Mapping[Path, int], decode_workers: int, progress: Progress
) -> Iterator[Finding]:
    broken: list[str] = []
    by_content: defaultdict[str, list[Path]] = defaultdict(list)
    noted: defaultdict[str, list[str]] = defaultdict(list)
    with closing(load_ahead(paths, _read, decode_workers, 8 * decode_workers)) as results:
        for done, (path, (problem, notes, content)) in enumerate(zip(paths, results, strict=True), start=1):
            broken += [problem] if problem else []
            by_content[content].append(path)
            for note in notes:
                noted[note].append(path.name)
            if done % UPDATE_EVERY == 0 or done == len(paths):
                progress(Update("check", done, len(paths), "images"))
    yield from (_warn(f"{len(names)} of {len(paths)} files have {note}", names) for note, names in noted.items())
    yield from _check_copies([copies for copies in by_content.values() if len(copies) > 1], labels)
    if broken:
        yield _error(f"{len(broken)} of {len(paths)} files cannot be decoded", broken)


def _check_copies(groups: Sequence[Sequence[Path]], labels: Mapping[Path, int]) -> Iterator[Finding]:
    """Images that are there more than once, which count more than once; at most one of two classes of them is right."""
    differ = [group for group in groups if len({labels[path] for path in group if path in labels}) > 1]
    alike = [group for group in groups if group not in differ]
    if differ:
        named = (" and ".join(f"{path.name} (class {labels.get(path, '?')})" for path in group) for group in differ)
        yield _warn(f"{len(differ)} images are there several times, with other classes", named)
    if alike:
        named = (" and ".join(path.name for path in group) for group in alike)
        yield _warn(f"{len(alike)} images are there several times, with one class", named)


def _read(path: Path) -> tuple[str | None, list[str], str]:
    """Why a file cannot be decoded; else what was noted of it; the hash of its bytes, its path where it has none."""
    notes: list[str] = []
    try:
        data = read_file(path)
    except DataError as error:
        return error.problem, [], str(path)
    content = hash_bytes(data)
    try:
        decode_image(data, str(path), notes)
    except DataError as error:
        return error.problem, [], content
    return None, notes, content
