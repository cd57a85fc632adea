"""Find a card by name or path and read it."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from seatrial.errors import UsageError
from seatrial.foreign.files import is_regular, read_text
from seatrial.foreign.names import change_texts, restore_name
from seatrial.foreign.parse import Unparsable, parse_toml
from seatrial.recipes.schema import Recipe
from seatrial.recipes.toml_lines import find_line
from seatrial.strict import suggest


def list_cards() -> dict[str, Path]:
    """The cards that come with seatrial, by name."""
    folder = Path(str(resources.files("seatrial.recipes"))) / "cards"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find_card(name: str) -> Path:
    """The file of a card: a path if it looks like one or is one, else one of ours.

    Raises:
        UsageError: there is no such file or name; names the nearest.
    """
    path = Path(name)
    cards = list_cards()
    if name in cards:
        return cards[name]
    if is_regular(path):
        return path
    if path.suffix == ".toml" or path.parent != Path():
        raise UsageError(f"there is no recipe file {path}", "`seatrial recipes` lists those that come with seatrial")
    raise UsageError(f"there is no recipe '{name}'", f"{suggest(name, list(cards))} (a path to a .toml works too)")


def load_recipe(name: str) -> Recipe:
    """Read a card that needs no other, by name or path; `models.sources` resolves any model reference.

    Raises:
        UsageError: no such card, not TOML, or a key or value that a card may not have.
    """
    path = find_card(name)
    text, data = read_card(path)
    return check_card(data, text, path)


def check_card(data: Mapping[str, Any], text: str, path: Path) -> Recipe:
    """The recipe of what a card says, or of that and what it takes from elsewhere.

    Args:
        text: of the card at `path`.

    Raises:
        UsageError: a key or value that a card may not have; names its line where it is in the text.
    """
    return Recipe.read(data, str(path), lambda location: find_line(text, data, location))


def read_card(path: Path) -> tuple[str, dict[str, Any]]:
    """A card's text and what it says, unchecked.

    Raises:
        UsageError: it cannot be read, or is not TOML.
    """
    try:
        text = read_text(path)
        return text, change_texts(parse_toml(text), restore_name)
    except (Unparsable, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}", "mend that line") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "check its path and permissions") from None
