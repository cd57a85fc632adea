"""The file of a card, or the word that a library has a network of that name."""

import contextlib
import re
from importlib import import_module
from pathlib import Path

from seatrial.errors import SeatrialError, UsageError
from seatrial.recipes.load import find_card

LIBRARIES = ("timm", "torchvision")


def find_own_card(reference: str) -> Path:
    """The file of a card.

    Raises:
        UsageError: there is none; names the libraries that have a network of this name, else the nearest card.
    """
    try:
        return find_card(reference)
    except UsageError as error:
        found = [f"{library}:{reference}" for library in LIBRARIES if _has_network(library, reference)]
        if not found:
            raise
        raise UsageError(error.problem, f"write {' or '.join(found)}") from None


def _has_network(library: str, name: str) -> bool:
    """Whether the library, if it is installed, has weights of a network of exactly this name."""
    with contextlib.suppress(SeatrialError):
        source = import_module(f"seatrial.models.sources.{library}")
        return re.fullmatch(r"[\w.-]+", name) is not None and bool(source.list_references(name))
    return False
