"""Label files: one function for each format, which knows its own; one that fits no other is `NAME CLASS`."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from seatrial.data.classes import NAME_CLASSES, UNKNOWN, WNID, Classes
from seatrial.data.label_tables import read_table
from seatrial.data.label_text import LabelReading, LabelText, collect_pairs
from seatrial.data.name_index import NameIndex
from seatrial.data.names import read_text_lines, split_digits
from seatrial.errors import DataError
from seatrial.foreign.files import read_bytes
from seatrial.foreign.parse import is_number
from seatrial.recipes.class_names import load_imagenet

ANNOTATIONS = "val_annotations.txt"
"""Tiny-ImageNet's labels, which lie beside its folder of validation images."""
DEVKIT_IMAGES, DEVKIT_CLASSES = 50_000, 1000
DEVKIT_WORD = "ground_truth"
"""In the name of the devkit's list."""
DEVKIT_META = "meta.mat"
_DEVKIT_NAME = re.compile(r"ILSVRC2012_val_[0-9]{8}(\..+)?")


def read_label_file(path: Path, names: Collection[str], classes: Classes) -> dict[str, int]:
    """Classes by image, as the label file spells them; `docs/data.md` has the formats.

    Args:
        names: the images' own; they tell columns apart, and a list of numbers is of them in their order.

    Raises:
        DataError: a line that is no label, a name that is listed twice, or two readings that differ.
    """
    return _read_file(path, names, NameIndex(names), classes)


def _read_file(path: Path, names: Collection[str], known: NameIndex, classes: Classes) -> dict[str, int]:
    lines = read_text_lines(path, "label file", "give --labels FILE")
    numbers: Sequence[int] = range(1, len(lines) + 1)
    if not all(map(str.strip, lines)):
        numbers = [number for number, line in enumerate(lines, start=1) if line.strip()]
        lines = [line for line in lines if line.strip()]
    if not lines:
        raise DataError(f"label file {path} is empty", "give --labels another file")
    text = LabelText(path, lines, numbers, names, known, classes)
    return _choose(text, next(readings for read in FORMATS if (readings := read(text))))


def read_image_labels(path: Path, ids: Collection[str], classes: Classes) -> dict[str, int]:
    """As `read_label_file`, by the images' ids where these are meant: the file may leave out suffixes or add folders.

    Raises:
        DataError: as there; or two lines are of one image.
    """
    index = NameIndex(ids)
    return match_names(_read_file(path, ids, index, classes), index, path)


def match_names(by_name: dict[str, int], index: NameIndex, path: Path) -> dict[str, int]:
    """Labels by the ids of their images; a name that is no image's stays as it is.

    Raises:
        DataError: two names are of one image.
    """
    if all(name in index for name in by_name):
        return by_name
    images = index.find_all(by_name)
    matched = dict(zip(images, by_name.values(), strict=True))
    if len(matched) == len(by_name):
        return matched
    named: dict[str, str] = {}
    for image, name in zip(images, by_name, strict=True):
        first = named.setdefault(image, name)
        if first != name:
            raise DataError(f"{path} has '{first}' and '{name}', which are one image", "remove one of the lines")
    raise AssertionError("there are fewer images than names")


def split_label_line(line: str) -> tuple[str, int] | None:
    """Name and class of a line `NAME CLASS`; None if it is another."""
    words = line.strip().rsplit(maxsplit=1)
    return (words[0], int(words[1])) if len(words) == 2 and is_number(words[1]) else None


def _choose(text: LabelText, readings: Sequence[LabelReading]) -> dict[str, int]:
    """The one meaning of all readings."""
    found = [
        (f"{reading.what}{how}", reading, numbers)
        for reading in readings
        for how, numbers in _read_labels(text, reading).items()
    ]
    (first, chosen, numbers), others = found[0], found[1:]
    for what, reading, other in others:
        for place, (label, label_there) in enumerate(zip(chosen.labels, reading.labels, strict=True)):
            if numbers[label] != other[label_there]:
                raise DataError(
                    f"{text.path}:{chosen.numbers[place]}: '{chosen.names[place]}' is class {numbers[label]} {first}, "
                    f"and {other[label_there]} {what}",
                    "leave one column of labels in the file, or label by names that are no numbers",
                )
    return _index_names(text, chosen, numbers)


def _read_labels(text: LabelText, reading: LabelReading) -> dict[str, dict[str, int]]:
    """Classes by label and by what labels are.

    Raises:
        DataError: they are nothing; names the first line.
    """
    labels = set(reading.labels)
    readings = text.classes.read(labels)
    if readings:
        return readings
    wnids = all(WNID.fullmatch(label) for label in labels)
    if wnids and not text.classes.names:
        shown = f"{text.path} has {len(labels)} WordNet ids, the network {text.classes.count} classes"
        if text.classes is UNKNOWN:
            raise DataError(f"{text.path} has WordNet ids, and there is no card here that knows them", "write numbers")
        raise DataError(shown, NAME_CLASSES if labels <= set(load_imagenet()[0]) else "write numbers for them")
    wrong = {label for label in labels if not (is_number(label) or text.classes.find(label) is not None)}
    if wrong:
        line, label = next(pair for pair in zip(reading.numbers, reading.labels, strict=True) if pair[1] in wrong)
        if text.classes.names:
            raise text.classes.refuse(f"{text.path}:{line}: ", label, "mend the line")
        raise text.refuse_line(line, text.lines[text.numbers.index(line)])
    raise DataError(f"{text.path} has names and numbers for classes", "write one of them")


def _index_names(text: LabelText, reading: LabelReading, numbers: Mapping[str, int]) -> dict[str, int]:
    by_name = dict(zip(reading.names, map(numbers.__getitem__, reading.labels), strict=True))
    if len(by_name) == len(reading.names):
        return by_name
    seen: set[str] = set()
    for line, name in zip(reading.numbers, reading.names, strict=True):
        if name in seen:
            raise DataError(f"{text.path}:{line}: '{name}' is listed twice", "remove one of the lines")
        seen.add(name)
    raise AssertionError("there are fewer names than lines")


def read_kaggle(text: LabelText) -> list[LabelReading]:
    """Kaggle's LOC_val_solution.csv: a WordNet id for each box of an image, all of them the same.

    Raises:
        DataError: a line has boxes of two classes, or none.
    """
    if text.lines[0].strip().casefold() != "imageid,predictionstring":
        return []
    return [collect_pairs(text, 1, _split_boxes(text))]


def _split_boxes(text: LabelText) -> Iterator[tuple[str, str]]:
    for number, line in zip(text.numbers[1:], text.lines[1:], strict=True):
        name, _, boxes = line.strip().partition(",")
        labels = set(boxes.split()[::5])
        if len(labels) != 1:
            shown = " and ".join(sorted(labels)) or "no class"
            raise DataError(f"{text.path}:{number}: '{name}' has boxes of {shown}", "an image has one class")
        yield name, labels.pop()


def read_annotations(text: LabelText) -> list[LabelReading]:
    """Tiny-ImageNet's val_annotations.txt: name, WordNet id and a box of four numbers."""
    reading = collect_pairs(text, 0, takewhile(all, map(_split_annotation, text.lines)))
    return [reading] if len(reading.names) == len(text.lines) else []


def _split_annotation(line: str) -> tuple[str, str]:
    """Name and WordNet id; both empty where the line is none."""
    row = line.split()
    fits = len(row) == 6 and WNID.fullmatch(row[1]) and all(map(is_number, row[2:]))
    return (row[0], row[1]) if fits else ("", "")


def read_numbers(text: LabelText) -> list[LabelReading]:
    """A number a line, for the images in the order of their names; the devkit's ground truth by its `meta.mat`.

    Raises:
        DataError: there are more or fewer than images, the order of their names as text is not that of the numbers in
            them, or they are the devkit's and its `meta.mat` is not there.
    """
    if not text.names or not all(is_number(line.strip()) for line in text.lines):
        return []
    names: Sequence[str] = sorted(text.names)
    labels = [line.strip() for line in text.lines]
    if len(labels) != len(names):
        raise DataError(
            f"{text.path} has {len(labels)} numbers without names, and there are {len(names)} images",
            "give a number for each image, in the order of their names, or lines `NAME CLASS`",
        )
    _check_order(text, names, labels)
    if _is_devkit(text, labels):
        labels = _map_devkit(text, labels)
    return [LabelReading("", text.numbers, names, labels)]


def _check_order(text: LabelText, names: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse labels that depend on whether `10.jpg` comes before `2.jpg`, as text has it, or behind it."""
    counted = dict(zip(sorted(names, key=split_digits), labels, strict=True))
    for name, label in zip(names, labels, strict=True):
        if counted[name] != label:
            raise DataError(
                f"{text.path} has numbers without names: '{name}' has {label} where names are in the order of text, "
                f"and {counted[name]} where the numbers in them count",
                "write lines `NAME CLASS`",
            )


def _is_devkit(text: LabelText, labels: Sequence[str]) -> bool:
    if not all(_DEVKIT_NAME.fullmatch(name.rpartition("/")[2]) for name in text.names):
        return False
    from_one = all(1 <= int(label) <= DEVKIT_CLASSES for label in set(labels))
    return from_one and (len(labels) == DEVKIT_IMAGES or DEVKIT_WORD in text.path.name)


def _map_devkit(text: LabelText, numbers: Sequence[str]) -> list[str]:
    """WordNet ids of the devkit's numbers."""
    meta = text.path.with_name(DEVKIT_META)
    if not meta.is_file():
        raise DataError(
            f"{text.path} has the devkit's numbers, 1..{DEVKIT_CLASSES}, whose order is not the usual one",
            f"`seatrial data prepare --devkit ARCHIVE` writes a label file, or put its {DEVKIT_META} beside this one",
        )
    from seatrial.data.archives.imagenet import read_synsets

    wnids = read_synsets(read_bytes(meta), meta)
    lines = zip(text.numbers, numbers, strict=True)
    gone = next((line for line, number in lines if int(number) not in wnids), None)
    if gone is not None:
        raise DataError(f"{text.path}:{gone}: this is no class of {meta}", "give files of one devkit")
    place = {wnid: str(index) for index, wnid in enumerate(sorted(wnids.values()))}
    return [wnids[int(n)] if text.classes.names else place[wnids[int(n)]] for n in numbers]


def read_pairs(text: LabelText) -> list[LabelReading]:
    """Lines `NAME CLASS` (the guides' val_label.txt): a number, a WordNet id, or one of the card's names; with blanks.

    Raises:
        DataError: names the first line that is not of this form.
    """
    lines = zip(text.numbers, text.lines, strict=True)
    return [collect_pairs(text, 0, (_split_pair(text, number, line) for number, line in lines))]


def _split_pair(text: LabelText, number: int, line: str) -> tuple[str, str]:
    line = line.strip()
    words = line.rsplit(maxsplit=1)
    simple = len(words) == 2 and (is_number(words[1]) or WNID.fullmatch(words[1]) is not None)
    if simple and (not text.classes.names or text.known.find(words[0]) is not None):
        return words[0], words[1]
    splits = [(line[: blank.start()], line[blank.end() :]) for blank in re.finditer(r"\s+", line)]
    fitting = [pair for pair in splits if text.classes.find(pair[1]) is not None]
    known = [pair for pair in fitting if text.known.find(pair[0]) is not None]
    if known or (fitting and not simple):
        return (known or fitting)[0]
    if simple:
        return words[0], words[1]
    there = next((pair for pair in splits if text.classes.names and text.known.find(pair[0]) is not None), None)
    if there is None:
        raise text.refuse_line(number, line)
    return there


FORMATS: tuple[Callable[[LabelText], list[LabelReading]], ...] = (
    *(read_kaggle, read_annotations, read_numbers),
    *(read_table, read_pairs),
)
"""The first that knows the file reads it."""
