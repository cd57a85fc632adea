"""A doubt with its kind; those of a kind that differ in numbers only are written once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from seatrial.report.doubt_kinds import KINDS, DoubtKind

RUN = "run"
"""In the place of an engine, of a doubt about the whole run."""
_BATCH = re.compile(r"^batch (\d+)((?: on \d+ streams)?(?:, scope \w+)?): ")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_GAP = "\x01"
"""In place of a number; no doubt has this character."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason not to trust a figure."""

    name: str
    """Of its kind, in `KINDS`."""
    engine: str
    """Or `RUN`."""
    text: str

    @property
    def kind(self) -> DoubtKind:
        """What it is about and how far it reaches."""
        return KINDS[self.name]

    @property
    def batch(self) -> str | None:
        """The batch size that it is about, as `Speed.batch` writes it; None where it is about all of them."""
        found = _BATCH.match(self.text)
        return found and found.group(1) + found.group(2)


def strip_batch(text: str) -> str:
    """A doubt without the batch size that it names."""
    return _BATCH.sub("", text)


def strip_numbers(text: str) -> str:
    """A doubt without the batch size and all other numbers: what those that say the same have in common."""
    return _NUMBER.sub(_GAP, strip_batch(text))


def merge_doubts(doubts: Iterable[str]) -> list[str]:
    """Doubts `batch N: …` that differ in their numbers alone become one, with all batch sizes and ranges of numbers."""
    groups: dict[str, list[tuple[str, list[str]]]] = {}
    for doubt in doubts:
        batch = _BATCH.match(doubt)
        text = doubt[batch.end() :] if batch else doubt
        shape = f"{'batch' + batch.group(2) if batch else ''}\0{_NUMBER.sub(_GAP, text)}"
        groups.setdefault(shape, []).append((batch.group(1) if batch else "", [text, *_NUMBER.findall(text)]))
    return [_write(shape.partition("\0"), members) for shape, members in groups.items()]


def _write(shape: tuple[str, str, str], members: list[tuple[str, list[str]]]) -> str:
    sizes = [size for size, _ in members if size]
    if len(members) == 1:
        text = members[0][1][0]
    else:
        columns = zip(*(numbers[1:] for _, numbers in members), strict=True)
        ranges = iter([_range(column) for column in columns])
        text = re.sub(_GAP, lambda _: next(ranges), shape[2])
    return f"batch {', '.join(dict.fromkeys(sizes))}{shape[0].removeprefix('batch')}: {text}" if sizes else text


def _range(numbers: Iterable[str]) -> str:
    ordered = sorted(set(numbers), key=float)
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"
