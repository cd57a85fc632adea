"""Label files that are tables: which of their columns are names, and which are labels."""

import csv
import re
from collections.abc import Sequence

from seatrial.data.label_text import LabelReading, LabelText
from seatrial.errors import DataError

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
SAMPLE = 1000
"""Rows of a table by which the column of names is found."""
MOST_SHARED = 2**16
"""Different cells of a column up to which equal ones are one object."""


def read_table(text: LabelText) -> list[LabelReading]:
    """Columns between tabs, commas or semicolons, with a header or without: those that fit are names and labels.

    Raises:
        DataError: a line under a header has another number of columns.
    """
    for delimiter in "\t,;":
        columns = _split_columns(text, delimiter) if delimiter in text.lines[0] else []
        if not columns:
            continue
        header, place = _read_header([column[0] for column in columns]), len(columns[0])
        if place < len(text.lines):
            if not header:
                continue
            number, line = text.numbers[place], text.lines[place]
            cells = len(next(csv.reader([line], delimiter=delimiter, skipinitialspace=True)))
            shown = f"{text.path}:{number}: '{line[:80]}' has {cells} columns, the header {len(columns)}"
            raise DataError(shown, "mend the line")
        readings = _read_columns(text, columns, header or [""] * len(columns), bool(header))
        if readings:
            return readings
    return []


def _split_columns(text: LabelText, delimiter: str) -> list[list[str]]:
    """Cells by column, down to the first line that has more or fewer than the first; none where there are no columns.

    Equal cells are one object as long as a column has few different ones.
    """
    reader = csv.reader(text.lines, delimiter=delimiter, skipinitialspace=True)
    columns: list[list[str]] = []
    shared: list[dict[str, str]] = []
    try:
        for place, row in enumerate(reader, start=1):
            if reader.line_num != place:
                return []
            if not columns:
                columns, shared = [[] for _ in row], [{} for _ in row]
            if len(row) != len(columns):
                break
            for cell, column, cells in zip(row, columns, shared, strict=True):
                cell = cell.strip()
                column.append(cells.setdefault(cell, cell) if len(cells) < MOST_SHARED else cell)
    except csv.Error:
        return []
    return columns if len(columns) > 1 else []


def _read_header(row: Sequence[str]) -> list[str]:
    """The row's words, simplified, if it names columns of images and of labels."""
    words = [re.sub(r"[^a-z]", "", cell.casefold()) for cell in row]
    return words if NAME_HEADS & set(words) and LABEL_HEADS & set(words) else []


def _read_columns(text: LabelText, columns: list[list[str]], header: list[str], named: bool) -> list[LabelReading]:
    """What the columns say, below their heads where they have some.

    Args:
        header: a word for each column.
        named: whether the first line is one of heads.
    """
    body, numbers = ([column[1:] for column in columns], text.numbers[1:]) if named else (columns, text.numbers)
    count, places = len(numbers), range(len(header))
    if not count:
        return []
    hits = _count_names(text, [column[:: max(1, count // SAMPLE)] for column in body])
    names = _choose_names(text, body, header, hits)
    rest = [place for place in places if place != names]
    fitting = [place for place in rest if text.classes.read(set(body[place]))]
    if not fitting and not named and count > 1 and text.known.find(body[names][0]) is None:
        # Columns that a header calls by words of its own.
        others = [place for place in rest if text.classes.read(set(body[place][1:]))]
        return _read_columns(text, columns, header, True) if others else []
    if not fitting and not (named or max(hits)):
        return []
    of_labels = [place for place in rest if header[place] in LABEL_HEADS]
    chosen = _narrow(text, body, [p for p in fitting if p in of_labels] or fitting) or of_labels[:1] or rest[-1:]
    what = "in column {} " if len(chosen) > 1 else ""
    return [LabelReading(what.format(place + 1), numbers, body[names], body[place]) for place in chosen]


def _choose_names(text: LabelText, body: list[list[str]], header: list[str], hits: list[int]) -> int:
    """The column of names: that with the most of the images', where the heads do not call it one of labels.

    Raises:
        DataError: images and classes are numbers, and nothing says which is which.
    """

    def rank(place: int) -> tuple[bool, bool, int, bool]:
        return hits[place] > 0, header[place] not in LABEL_HEADS, hits[place], header[place] in NAME_HEADS

    best, *others = sorted(range(len(header)), key=rank, reverse=True)
    for other in others:
        if hits[other] and rank(other) == rank(best):
            _refuse_swapped(text, body[best], body[other])
    return best


def _refuse_swapped(text: LabelText, first: list[str], second: list[str]) -> None:
    """Refuse two columns, each of the images' names, either of which may be the labels of the other."""
    pairs = set(zip(first, second, strict=True))
    if not len(first) == len(set(first)) == len(set(second)):
        return
    image, label = next((pair for pair in zip(first, second, strict=True) if pair[::-1] not in pairs), ("", ""))
    if image:
        raise DataError(
            f"{text.path}: '{image}' and '{label}' of one line may be an image and its class, or the other way round",
            "write a line of heads, such as `image,label`",
        )


def _count_names(text: LabelText, sample: list[list[str]]) -> list[int]:
    """How many of each column's cells are names of images: as they are spelled, if all of a column are."""
    spelled = [sum(cell in text.known for cell in column) for column in sample]
    if max(spelled) == len(sample[0]):
        return spelled
    return [sum(text.known.find(cell) is not None for cell in column) for column in sample]


def _narrow(text: LabelText, body: list[list[str]], places: list[int]) -> list[int]:
    """Of several columns of labels those whose classes the network has, if there are any."""
    classes = text.classes

    def has_all(place: int) -> bool:
        readings = classes.read(set(body[place])).values()
        return any(min(found.values()) >= 0 and max(found.values()) < classes.count for found in readings)

    return [place for place in places if has_all(place)] or places
