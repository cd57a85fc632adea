"""A label file's lines, and the columns that a format finds in them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.data.classes import Classes
from seatrial.data.name_index import NameIndex
from seatrial.errors import DataError


@dataclass(frozen=True)
class LabelText:
    """A label file, and what it is about."""

    path: Path
    lines: Sequence[str]
    """Those that are not blank."""
    numbers: Sequence[int]
    """Which of the file's each of these lines is, from 1."""
    names: Collection[str]
    """Of the images; none where they are not known."""
    known: NameIndex
    """The images' names, to find one that a line gives otherwise."""
    classes: Classes

    def refuse_line(self, number: int, text: str) -> DataError:
        """What is raised for a line that has no label."""
        return DataError(f"{self.path}:{number}: '{text[:80]}' is not `NAME CLASS`", "mend the line")


@dataclass(frozen=True)
class LabelReading:
    """A way to read a label file: columns, as an object for each of a million lines takes time and memory."""

    what: str
    numbers: Sequence[int]
    """Of the lines."""
    names: Sequence[str]
    labels: Sequence[str]
    """As they are written."""


def collect_pairs(text: LabelText, start: int, pairs: Iterable[tuple[str, str]]) -> LabelReading:
    """Names and labels of the lines from `start` on, equal labels one object."""
    names: list[str] = []
    labels: list[str] = []
    shared: dict[str, str] = {}
    for name, label in pairs:
        names.append(name)
        labels.append(shared.setdefault(label, label))
    return LabelReading("", text.numbers[start:], names, labels)
