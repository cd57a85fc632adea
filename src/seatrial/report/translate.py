"""A finished page in the language that is being written: its values, and what else stands in its HTML."""

import dataclasses
import html
import re
from typing import Any, TypeVar

from seatrial.report.language import ENGLISH, find_language, retell

Value = TypeVar("Value")

_VERBATIM = re.compile(r"(<(?:style|pre|code)\b.*?</(?:style|pre|code)>)", re.DOTALL)
_DRAWING = re.compile(r"(<svg\b.*?</svg>)", re.DOTALL)
_TEXT = re.compile(r"(?<=>)(\s*)([^<>\s][^<>]*?)(\s*)(?=<)")
_LABEL = re.compile(r'(?<= )(aria-label|data-label|title)="([^"]+)"')


_KEPT = ("kind", "outcome", "command", "version")
"""Fields that programs and style sheets read."""


def retell_values(value: Value) -> Value:
    """A dataclass, tuple, list or text with every text in it in the language; all else as it is."""
    return value if find_language() == ENGLISH else _retell(value)


def _retell(value: Any) -> Any:
    if isinstance(value, str):
        return retell(value)
    if isinstance(value, (tuple, list)):
        return type(value)(_retell(each) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value) if field.name not in _KEPT)
        return dataclasses.replace(value, **{name: _retell(getattr(value, name)) for name in names})
    return value


def retell_markup(markup: str) -> str:
    """HTML with its texts and labels in the language, but for styles and code."""
    if find_language() == ENGLISH:
        return markup
    pieces = _VERBATIM.split(markup)
    return "".join(piece if place % 2 else _retell_piece(piece) for place, piece in enumerate(pieces))


def _retell_piece(piece: str) -> str:
    translated = _TEXT.sub(lambda found: f"{found[1]}{_retell_escaped(found[2])}{found[3]}", piece)
    parts = _DRAWING.split(translated)
    # What a drawing says of its marks to screen readers is made by the library that drew it.
    return "".join(part if place % 2 else _LABEL.sub(_retell_label, part) for place, part in enumerate(parts))


def _retell_label(found: re.Match[str]) -> str:
    return f'{found[1]}="{_retell_escaped(found[2])}"'


def _retell_escaped(text: str) -> str:
    plain = html.unescape(text)
    translated = retell(plain)
    return text if translated == plain else html.escape(translated)
