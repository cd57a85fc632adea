"""Names of images and classes: indexed, where each is there once, and counted for a message."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from seatrial.errors import DataError

Key = TypeVar("Key")
Item = TypeVar("Item")


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
