"""Label files: one function for each format, which knows its own; one that fits no other is `NAME CLASS`."""

import csv
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seatrial.data.classes import NAME_CLASSES, UNKNOWN, WNID, Classes
from seatrial.data.names import read_text_lines
from seatrial.errors import DataError
from seatrial.foreign.files import read_bytes
from seatrial.foreign.parse import is_number
from seatrial.recipes.class_names import load_imagenet

ANNOTATIONS = "val_annotations.txt"
"""Tiny-ImageNet's labels, which lie beside its folder of validation images."""
NAME_HEADS = {"filename", "file", "image", "imagename", "imageid", "img", "id", "name", "path", "imagepath", "filepath"}
LABEL_HEADS = {
    "label",
    "class",
    "target",
    "classid",
    "labelid",
    "classindex",
    "classname",
    "category",
    "wnid",
    "synset",
}
DEVKIT_IMAGES, DEVKIT_CLASSES = 50_000, 1000
DEVKIT_WORD = "ground_truth"
"""In the name of the devkit's list."""
DEVKIT_META = "meta.mat"
SAMPLE = 1000
"""Rows of a table by which the column of names is found."""
_DEVKIT_NAME = re.compile(r"ILSVRC2012_val_[0-9]{8}(\..+)?")
Row = tuple[int, str, str]
"""Number of the line, name, and label as it is written."""


@dataclass(frozen=True)
class LabelText:
    """A label file, and what it is about."""

    path: Path
    lines: list[tuple[int, str]]
    """Number and text of each line that is not blank, from 1."""
    names: Sequence[str]
    """Of the images, sorted; none where they are not known."""
    classes: Classes

    @cached_property
    def known(self) -> "NameIndex":
        """The images' names, to find one that a line gives otherwise."""
        return NameIndex(self.names)

    def refuse_line(self, number: int, text: str) -> DataError:
        """What is raised for a line that has no label."""
        return DataError(f"{self.path}:{number}: '{text[:80]}' is not `NAME CLASS`", "mend the line")


@dataclass(frozen=True)
class LabelReading:
    """A way to read a label file."""

    what: str
    rows: Sequence[Row]


class NameIndex:
    """Ids of images by what a label file may call them: the id, or without its suffix or its folders."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = frozenset(ids)

    @cached_property
    def _others(self) -> Mapping[str, str | None]:
        """Made when an id is not spelled out; None is what several images could be called."""
        others: dict[str, str | None] = {}
        for image in self._ids:
            base = image.rpartition("/")[2]
            for other in {base, cut_suffix(image), cut_suffix(base)}:
                if other != image:
                    others[other] = None if other in others else image
        return others

    def __contains__(self, name: str) -> bool:
        return name in self._ids

    def find(self, name: str) -> str | None:
        """The id that is meant; None where there is none, or there are several."""
        if name in self._ids:
            return name
        base = name.replace("\\", "/").rpartition("/")[2]
        return self._others.get(name) or (base if base in self._ids else self._others.get(base))


def cut_suffix(name: str) -> str:
    """A name without what follows its last dot."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and "/" not in suffix else name


def read_label_file(path: Path, names: Collection[str], classes: Classes) -> dict[str, int]:
    """Classes by image, as the label file spells them; `docs/data.md` has the formats.

    Args:
        names: the images' own; they tell columns apart, and a list of numbers is of them in their order.

    Raises:
        DataError: a line that is no label, a name that is listed twice, or two readings that differ.
    """
    lines = enumerate(read_text_lines(path, "label file", "give --labels FILE"), start=1)
    text = LabelText(path, [(number, line) for number, line in lines if line.strip()], sorted(names), classes)
    if not text.lines:
        raise DataError(f"label file {path} is empty", "give --labels another file")
    for read in FORMATS:
        readings = read(text)
        if readings:
            return _choose(text, readings)
    raise AssertionError("pairs take every file")


def read_image_labels(path: Path, ids: Collection[str], classes: Classes) -> dict[str, int]:
    """As `read_label_file`, by the images' ids where these are meant: the file may leave out suffixes or add folders.

    Raises:
        DataError: as there; or two lines are of one image.
    """
    return match_names(read_label_file(path, ids, classes), ids, path)


def match_names(by_name: Mapping[str, int], ids: Collection[str], path: Path) -> dict[str, int]:
    """Labels by the ids of their images; a name that is no image's stays as it is.

    Raises:
        DataError: two names are of one image.
    """
    index = NameIndex(ids)
    if all(name in index for name in by_name):
        return dict(by_name)
    named: dict[str, str] = {}
    for name in by_name:
        first = named.setdefault(index.find(name) or name, name)
        if first != name:
            raise DataError(f"{path} has '{first}' and '{name}', which are one image", "remove one of the lines")
    return {image: by_name[name] for image, name in named.items()}


def split_label_line(line: str) -> tuple[str, int] | None:
    """Name and class of a line `NAME CLASS`; None if it is another."""
    words = line.strip().rsplit(maxsplit=1)
    return (words[0], int(words[1])) if len(words) == 2 and is_number(words[1]) else None


def _choose(text: LabelText, readings: Sequence[LabelReading]) -> dict[str, int]:
    """The one meaning of all readings."""
    found = [
        (f"{reading.what}{how}", reading.rows, numbers)
        for reading in readings
        for how, numbers in _read_labels(text, reading.rows).items()
    ]
    (first, rows, numbers), others = found[0], found[1:]
    for what, other_rows, other in others:
        for (line, name, label), (_, _, label_there) in zip(rows, other_rows, strict=True):
            if numbers[label] != other[label_there]:
                raise DataError(
                    f"{text.path}:{line}: '{name}' is class {numbers[label]} {first}, and {other[label_there]} {what}",
                    "leave one column of labels in the file, or label by names that are no numbers",
                )
    return _index_rows(text, rows, numbers)


def _read_labels(text: LabelText, rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Classes by label and by what labels are.

    Raises:
        DataError: they are nothing; names the first line.
    """
    labels = {label for _, _, label in rows}
    readings = text.classes.read(labels)
    if readings:
        return readings
    wnids = all(WNID.fullmatch(label) for label in labels)
    if wnids and not text.classes.names:
        shown = f"{text.path} has {len(labels)} WordNet ids, the network {text.classes.count} classes"
        if text.classes is UNKNOWN:
            raise DataError(f"{text.path} has WordNet ids, and there is no card here that knows them", "write numbers")
        raise DataError(shown, NAME_CLASSES if labels <= set(load_imagenet()[0]) else "write numbers for them")
    lines = dict(text.lines)
    for line, _, label in rows:
        if is_number(label) or text.classes.find(label) is not None:
            continue
        if text.classes.names:
            raise text.classes.refuse(f"{text.path}:{line}: ", label, "mend the line")
        raise text.refuse_line(line, lines[line])
    raise DataError(f"{text.path} has names and numbers for classes", "write one of them")


def _index_rows(text: LabelText, rows: Sequence[Row], numbers: Mapping[str, int]) -> dict[str, int]:
    by_name: dict[str, int] = {}
    for line, name, label in rows:
        if name in by_name:
            raise DataError(f"{text.path}:{line}: '{name}' is listed twice", "remove one of the lines")
        by_name[name] = numbers[label]
    return by_name


def read_kaggle(text: LabelText) -> list[LabelReading]:
    """Kaggle's LOC_val_solution.csv: a WordNet id for each box of an image, all of them the same.

    Raises:
        DataError: a line has boxes of two classes, or none.
    """
    if text.lines[0][1].strip().casefold() != "imageid,predictionstring":
        return []
    rows = []
    for number, line in text.lines[1:]:
        name, _, boxes = line.strip().partition(",")
        labels = set(boxes.split()[::5])
        if len(labels) != 1:
            shown = " and ".join(sorted(labels)) or "no class"
            raise DataError(f"{text.path}:{number}: '{name}' has boxes of {shown}", "an image has one class")
        rows.append((number, name, labels.pop()))
    return [LabelReading("", rows)]


def read_annotations(text: LabelText) -> list[LabelReading]:
    """Tiny-ImageNet's val_annotations.txt: name, WordNet id and a box of four numbers."""
    table = [line.split() for _, line in text.lines]
    if not all(len(row) == 6 and WNID.fullmatch(row[1]) and all(map(is_number, row[2:])) for row in table):
        return []
    return [LabelReading("", [(number, row[0], row[1]) for (number, _), row in zip(text.lines, table, strict=True)])]


def read_numbers(text: LabelText) -> list[LabelReading]:
    """A number a line, for the images in the order of their names; the devkit's ground truth by its `meta.mat`.

    Raises:
        DataError: there are more or fewer than images, or they are the devkit's and its `meta.mat` is not there.
    """
    labels = [line.strip() for _, line in text.lines]
    if not text.names or not all(map(is_number, labels)):
        return []
    if len(labels) != len(text.names):
        raise DataError(
            f"{text.path} has {len(labels)} numbers without names, and there are {len(text.names)} images",
            "give a number for each image, in the order of their names, or lines `NAME CLASS`",
        )
    if _is_devkit(text, labels):
        labels = _map_devkit(text, labels)
    rows = zip(text.lines, text.names, labels, strict=True)
    return [LabelReading("", [(number, name, label) for (number, _), name, label in rows])]


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
    lines = zip(text.lines, numbers, strict=True)
    gone = next((line for (line, _), number in lines if int(number) not in wnids), None)
    if gone is not None:
        raise DataError(f"{text.path}:{gone}: this is no class of {meta}", "give files of one devkit")
    place = {wnid: str(index) for index, wnid in enumerate(sorted(wnids.values()))}
    return [wnids[int(n)] if text.classes.names else place[wnids[int(n)]] for n in numbers]


def read_table(text: LabelText) -> list[LabelReading]:
    """Columns between tabs, commas or semicolons, with a header or without: those that fit are names and labels.

    Raises:
        DataError: a line under a header has another number of columns.
    """
    for delimiter in "\t,;":
        if delimiter not in text.lines[0][1]:
            continue
        rows = _split_columns(text, delimiter)
        header = rows and _read_header(rows[0])
        if header and any(len(row) != len(rows[0]) for row in rows):
            index = next(index for index, row in enumerate(rows) if len(row) != len(rows[0]))
            number, line = text.lines[index]
            shown = f"{text.path}:{number}: '{line[:80]}' has {len(rows[index])} columns, the header {len(rows[0])}"
            raise DataError(shown, "mend the line")
        if rows and len(rows[0]) > 1 and len({len(row) for row in rows}) == 1:
            readings = _read_columns(text, rows, header or [""] * len(rows[0]), bool(header))
            if readings:
                return readings
    return []


def _split_columns(text: LabelText, delimiter: str) -> list[list[str]]:
    try:
        reader = csv.reader((line for _, line in text.lines), delimiter=delimiter, skipinitialspace=True)
        rows = [[cell.strip() for cell in row] for row in reader]
    except csv.Error:
        return []
    return rows if len(rows) == len(text.lines) else []


def _read_header(row: Sequence[str]) -> list[str]:
    """The row's words, simplified, if it names columns of images and of labels."""
    words = [re.sub(r"[^a-z]", "", cell.casefold()) for cell in row]
    return words if NAME_HEADS & set(words) and LABEL_HEADS & set(words) else []


def _read_columns(text: LabelText, rows: list[list[str]], header: list[str], named: bool) -> list[LabelReading]:
    body, numbers = (rows[1:], text.lines[1:]) if named else (rows, text.lines)
    if not body:
        return []
    places = range(len(header))
    sample = body[:: max(1, len(body) // SAMPLE)]
    hits = [sum(text.known.find(row[place]) is not None for row in sample) for place in places]
    of_names = [place for place in places if header[place] in NAME_HEADS]
    names = hits.index(max(hits)) if max(hits) else (of_names or [0])[0]
    rest = [place for place in places if place != names]
    fitting = [place for place in rest if text.classes.read({row[place] for row in body})]
    if not fitting and not named and len(body) > 1 and text.known.find(body[0][names]) is None:
        # Columns that a header calls by words of its own.
        others = [place for place in rest if text.classes.read({row[place] for row in body[1:]})]
        return _read_columns(text, rows, header, True) if others else []
    if not fitting and not (named or max(hits)):
        return []
    of_labels = [place for place in rest if header[place] in LABEL_HEADS]
    chosen = _narrow(text, body, [p for p in fitting if p in of_labels] or fitting) or of_labels[:1] or rest[-1:]
    lines = [number for number, _ in numbers]
    what = "in column {} " if len(chosen) > 1 else ""
    return [
        LabelReading(what.format(place + 1), [(n, row[names], row[place]) for n, row in zip(lines, body, strict=True)])
        for place in chosen
    ]


def _narrow(text: LabelText, body: list[list[str]], places: list[int]) -> list[int]:
    """Of several columns of labels those whose classes the network has, if there are any."""
    classes = text.classes

    def has_all(place: int) -> bool:
        readings = classes.read({row[place] for row in body}).values()
        return any(min(found.values()) >= 0 and max(found.values()) < classes.count for found in readings)

    return [place for place in places if has_all(place)] or places


def read_pairs(text: LabelText) -> list[LabelReading]:
    """Lines `NAME CLASS` (the guides' val_label.txt): a number, a WordNet id, or one of the card's names; with blanks.

    Raises:
        DataError: names the first line that is not of this form.
    """
    return [LabelReading("", [(number, *_split_pair(text, number, line)) for number, line in text.lines])]


def _split_pair(text: LabelText, number: int, line: str) -> tuple[str, str]:
    line = line.strip()
    words = line.rsplit(maxsplit=1)
    simple = len(words) == 2 and (is_number(words[1]) or WNID.fullmatch(words[1]) is not None)
    if simple and (text.known.find(words[0]) is not None or not text.classes.names):
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
