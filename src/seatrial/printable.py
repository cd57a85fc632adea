"""Text from elsewhere, such as class and file names, as a terminal or a page may show it without coming apart."""

import json
import unicodedata

JOINERS = "\u200c\u200d"
"""Format characters that scripts and pictograms need, and that move nothing."""
LONGEST_NAME = 60
"""Characters of a class name that are shown."""


def make_printable(text: str, keep: str = "") -> str:
    r"""The text with what is no visible character written as an escape: `\n`, `\x1b`, `\u202e`.

    So nothing in a name starts a line, moves a cursor, colours a terminal or turns the direction of what follows.
    Letters, marks and pictograms of any script stay, and so do combining ones; other blanks become plain ones.

    Args:
        keep: characters that stay as they are, such as the line ends of a text that we wrapped ourselves.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


def escape_json(text: str) -> str:
    """JSON with what is no visible character written as an escape of JSON, but for the line ends between values."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else _escape_in_json(char) for char in text)


def _escape_in_json(char: str) -> str:
    return f"\\u{ord(char):04x}" if char.isascii() else json.dumps(char)[1:-1]


def make_name(text: str) -> str:
    """A name on one line, printable, and shortened where it is longer than `LONGEST_NAME`."""
    shown = make_printable(" ".join(text.split()) if text.isprintable() else text.strip())
    return shown if len(shown) <= LONGEST_NAME else f"{shown[: LONGEST_NAME - 1]}…"


def _escape(char: str) -> str:
    if char in JOINERS:
        return char
    if unicodedata.category(char) == "Zs":
        return " "
    return char.encode("unicode_escape").decode()
