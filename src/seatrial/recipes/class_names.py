"""What classes are called: a card's own names, a file's, or ImageNet's thousand with their WordNet ids."""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from seatrial.errors import UsageError
from seatrial.recipes.schema import Recipe

IMAGENET = "imagenet-1k"
"""Names ILSVRC2012's classes in a card."""


def read_names(recipe: Recipe) -> tuple[str, ...] | None:
    """The names of a recipe's classes, in their order; None where the card has none.

    Raises:
        UsageError: the file that the card names is not there, or there are not as many names as classes.
    """
    names, classes = recipe.labels.names, recipe.network.classes
    if names is None:
        return None
    if names == IMAGENET:
        names = load_imagenet()[1]
    elif isinstance(names, str):
        try:
            names = tuple(line.strip() for line in Path(names).read_text(encoding="utf-8-sig").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"labels.names: {names} cannot be read ({error})", "name a text file") from None
    if len(names) != classes:
        raise UsageError(f"labels.names has {len(names)} names, the network {classes} classes", "name every class once")
    return tuple(names)


@cache
def load_imagenet() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """WordNet ids and names of ILSVRC2012's 1000 classes, in the usual order (that of the ids)."""
    text = (resources.files("seatrial.recipes") / "names" / "imagenet-1k.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    return tuple(row[0] for row in rows), tuple(row[1] for row in rows)


def is_imagenet(names: Sequence[str]) -> bool:
    """Whether these are ImageNet's names."""
    return tuple(names) == load_imagenet()[1]
