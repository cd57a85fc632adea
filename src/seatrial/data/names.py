"""Names of images and classes: indexed, where each is there once, and counted for a message."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from seatrial.errors import DataError
from seatrial.foreign.files import read_text

MOST_BYTES = 2**31
"""Of a label file: some 40 for each of ImageNet-21k's 14 million images are a quarter of it."""
LONGEST_LINE = 2**16
MOST_FOREIGN = 0.3
"""Share of a text's characters that may be no UTF-8, as those of Latin-1 names are."""
_DIGITS = re.compile("([0-9]+)")
_NO_UTF8 = re.compile("[\udc80-\udcff]")

Key = TypeVar("Key")
Item = TypeVar("Item")


def read_text_lines(path: Path, what: str, fix: str = "give a text file") -> list[str]:
    """The lines of a text file, or of a pipe, which can be read only once; names in it may be no UTF-8.

    Raises:
        DataError: it is not there, or not text; calls it `what`.
    """
    try:
        text = read_text(path, MOST_BYTES, pipes=True, errors="surrogateescape")
    except OSError as error:
        raise DataError(f"{what} {path} cannot be read ({error.strerror})", fix) from None
    lines = text.splitlines()
    if "\0" in text or len(_NO_UTF8.findall(text)) > MOST_FOREIGN * len(text):
        raise DataError(f"{what} {path} cannot be read (not text)", fix)
    if len(max(lines, key=len, default="")) > LONGEST_LINE:
        number = next(number for number, line in enumerate(lines, start=1) if len(line) > LONGEST_LINE)
        raise DataError(f"{path}:{number}: a line of more than {LONGEST_LINE:,} characters", fix)
    return lines


def split_digits(name: str) -> list[int | str]:
    """A key by which names sort as people count: digits as numbers, in every second place."""
    return [int(part) if place % 2 else part for place, part in enumerate(_DIGITS.split(name))]


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
