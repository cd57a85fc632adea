"""JSON and TOML of others as plain values: what is nested too deep, or a number that no record can have, is an error.

Python's parsers take integers of any length, infinite numbers, and as many brackets as the stack has room for, and what
they let pass breaks something later.
"""

import json
import math
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from seatrial.errors import cut

DEEPEST = 100
"""Levels of lists and tables in each other."""
LONGEST_NUMBER = 18
"""Digits of a whole number in text: any such has its place in 64 bits."""
_BEYOND = 2**64
_LONG = re.compile(rf"\d[\d_]{{{LONGEST_NUMBER},}}")
_UNUSUAL = re.compile(r"\d{20}|[eE][+-]?\d{3}|NaN|Infinity")
"""In JSON without these every number is finite and has its place: the largest of 19 digits, as times have, is less than
2**64."""
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class Unparsable(ValueError):
    """Text that is not read; its message says where and why."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        self.reason = reason
        self.line = line or 1
        super().__init__(reason if line is None else f"line {line}: {reason}")


def is_number(text: str) -> bool:
    """Whether a word is a whole number: ASCII digits alone, and no more than any number that is meant has."""
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER


def parse_json(text: str | bytes, finite: bool = True) -> Any:
    """The JSON value in a text.

    Args:
        finite: refuse NaN and infinity, which the standard does not have and Python writes.

    Raises:
        Unparsable: it is none, is nested deeper than `DEEPEST`, or has a number beyond 64 bits or any float.
    """
    try:
        text = text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise Unparsable(f"byte {error.start + 1} is no UTF-8") from None
    try:
        if _UNUSUAL.search(text):
            numbers = _Numbers(text)
            constant = numbers.refuse_constant if finite else float
            value = json.loads(
                text, parse_int=numbers.read_int, parse_float=numbers.read_float, parse_constant=constant
            )
        else:
            value = json.loads(text)
    except json.JSONDecodeError as error:
        raise Unparsable(error.msg, error.lineno) from None
    except RecursionError:
        raise _refuse_depth(text) from None
    if text.count("[") + text.count("{") > DEEPEST and _is_deep(text):
        raise _refuse_depth(text)
    return value


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Reads the numbers of a JSON text one by one, to refuse some."""

    text: str

    def read_int(self, digits: str) -> int:
        if len(digits) > LONGEST_NUMBER + 3 or abs(int(digits)) >= _BEYOND:
            raise self._refuse(digits, f"a number of {len(digits)} characters does not fit into 64 bits")
        return int(digits)

    def read_float(self, digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            raise self._refuse(digits, f"the number {cut(digits)} is too large")
        return value

    def refuse_constant(self, name: str) -> NoReturn:
        raise self._refuse(name, f"{name} is no number of JSON")

    def _refuse(self, digits: str, reason: str) -> Unparsable:
        return Unparsable(reason, self.text.count("\n", 0, self.text.find(digits)) + 1)


def _is_deep(text: str) -> bool:
    """Whether the brackets of a JSON text, its strings left out, are nested deeper than allowed."""
    brackets = _STRING.sub(b"", text.encode("utf-8", "surrogatepass")).translate(None, _NO_BRACKETS)
    for _ in range(DEEPEST):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return bool(brackets)


def _refuse_depth(text: str) -> Unparsable:
    lines = text.split("\n")
    line = max(range(len(lines)), key=lambda place: lines[place].count("[") + lines[place].count("{"))
    return Unparsable(f"nested deeper than {DEEPEST} levels", line + 1)


def parse_toml(text: str) -> dict[str, Any]:
    """The table of a TOML text.

    Raises:
        Unparsable: it is none, is nested deeper than `DEEPEST`, or has a whole number beyond 64 bits.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unparsable(str(error)) from None
    except RecursionError:
        raise _refuse_depth(text) from None
    except ValueError as error:
        # Of a number with more digits than Python reads, or a date that no calendar has.
        found = _LONG.search(text)
        if found is None:
            raise Unparsable(str(error)) from None
        line = text.count("\n", 0, found.start()) + 1
        raise Unparsable(f"a number of {len(found[0])} digits", line) from None
    for place, value in _list_values(table):
        if len(place) > DEEPEST:
            raise Unparsable(f"'{place[0]}' is nested deeper than {DEEPEST} levels")
        if isinstance(value, int) and not -_BEYOND // 2 <= value < _BEYOND // 2:
            raise Unparsable(f"the number at '{'.'.join(place)}' does not fit into 64 bits, as TOML's whole numbers do")
    return table


def _list_values(table: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value with the keys that lead to it; not below what is too deep."""
    left: list[tuple[tuple[str, ...], Any]] = [((), table)]
    while left:
        place, value = left.pop()
        yield place, value
        if len(place) > DEEPEST:
            continue
        if isinstance(value, dict):
            left += [((*place, key), each) for key, each in value.items()]
        elif isinstance(value, list):
            left += [((*place, str(index)), each) for index, each in enumerate(value)]
