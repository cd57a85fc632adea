"""What classes are called: a card's own names, a file's, or ImageNet's thousand with their WordNet ids."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from seatrial.errors import UsageError
from seatrial.foreign.files import read_text
from seatrial.printable import make_name
from seatrial.recipes.schema import IMAGENET, Recipe


def read_names(recipe: Recipe) -> tuple[str, ...] | None:
    """The names of a recipe's classes, in their order; None where the card has none."""
    names = recipe.labels.names
    return load_imagenet()[1] if names == IMAGENET else None if names is None else tuple(names)


def name_classes(recipe: Recipe, names: Sequence[str]) -> Recipe:
    """The recipe with these names of its classes, unless it has some, or there are more or fewer than classes."""
    if recipe.labels.names is not None or len(names) != recipe.network.classes:
        return recipe
    return recipe.model_copy(update={"labels": recipe.labels.model_copy(update={"names": tuple(names)})})


def find_reordered(names: Sequence[str], others: Sequence[str]) -> int | None:
    """The first class that is another one, where these are the same names in another order; else None.

    Other names may be other words for the same classes, as libraries have them for ImageNet's.
    """
    if sorted(names) != sorted(others):
        return None
    return next((place for place, pair in enumerate(zip(names, others, strict=True)) if pair[0] != pair[1]), None)


def read_name_file(path: Path) -> tuple[str, ...]:
    """Names from a text file, one a line.

    Raises:
        UsageError: it is not there, or no text.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise UsageError(f"labels.names: {path} cannot be read ({reason})", "name a text file") from None
    return tuple(line.strip() for line in lines if line.strip())


def name_class(recipe: Recipe, index: int) -> str:
    """A class as people are shown it: its number, and its name where the card has names."""
    return show_class(read_names(recipe) or (), index)


def show_class(names: Sequence[str] | Mapping[int, str], index: int) -> str:
    """A class's number, and its name where `names` has one, printable and on one line: `281 tabby`."""
    known = index in names if isinstance(names, Mapping) else 0 <= index < len(names)
    return f"{index} {make_name(names[index])}" if known else str(index)


@cache
def load_imagenet() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """WordNet ids and names of ILSVRC2012's 1000 classes, in the usual order (that of the ids)."""
    text = (resources.files("seatrial.recipes") / "names" / "imagenet-1k.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    return tuple(row[0] for row in rows), tuple(row[1] for row in rows)


def is_imagenet(names: Sequence[str]) -> bool:
    """Whether these are ImageNet's names."""
    return tuple(names) == load_imagenet()[1]
