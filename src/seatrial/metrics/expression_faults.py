"""Where and why the text of an inequality cannot be read, in the words of whoever wrote it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_WORD = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)(?:\s*\([^()]*\))?"
    r"|(?P<sign>[<>=!≤≥]+)|(?P<other>\S)"
)
_SIGNS = ("<", "<=", ">", ">=")
_MEANT: Mapping[str, str] = {"=>": ">=", "=<": "<=", "≥": ">=", "≤": "<=", ">>": ">", "<<": "<"}
"""The sign that was meant, by what was written."""
_BYTES: Mapping[str, float] = {
    "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "b": 1, "bytes": 1,
}  # fmt: skip
_UNITS = ("ms", "s", "us", "pp", "points", "percent", "images", "fps")
_JOINING = ("and", "or", "not", "&", "|")


@dataclass(frozen=True, slots=True)
class _Word:
    """A part of the text."""

    text: str
    kind: str
    """A group of `_WORD`."""
    column: int
    """Of its first character, from 1."""


def find_fault(text: str) -> str | None:
    """What is wrong with the first part of a text that cannot stand where it stands; None where every one can.

    It starts with the column, counted from 1.
    """
    words = [_Word(found[0], found.lastgroup or "", found.start() + 1) for found in _WORD.finditer(text)]
    if not words:
        return "it is empty"
    return next(_list_faults(words), None)


def _list_faults(words: list[_Word]) -> Iterator[str]:
    """Faults in their order: a number or a quantity stands first, after each sign and in each parenthesis."""
    opened: list[_Word] = []
    before: _Word | None = None
    operand = False
    """Whether a number, a quantity or a parenthesis has just ended."""
    for word in words:
        fault = _judge_anywhere(word, before) or (_judge_behind(word, before) if operand and before else None)
        if not operand and fault is None and not _can_begin(word):
            after = f" after '{before.text}'" if before else " first"
            fault = f"'{word.text}' stands where a number or a quantity is expected{after}"
        if word.text == ")" and fault is None and not opened:
            fault = "this ) closes nothing"
        if fault is not None:
            yield f"column {word.column}: {fault}"
        if word.text == "(":
            opened.append(word)
        if word.text == ")" and opened:
            opened.pop()
        operand, before = word.kind in ("number", "name") or word.text == ")", word
    if opened:
        yield f"column {opened[-1].column}: this ( is not closed"
    if before is not None and not operand:
        yield f"column {before.column}: a number or a quantity is missing after '{before.text}'"


def _can_begin(word: _Word) -> bool:
    return word.kind in ("number", "name") or word.text in ("(", "-")


def _judge_anywhere(word: _Word, before: _Word | None) -> str | None:
    """The fault of a part that may stand nowhere."""
    if word.kind == "sign" and word.text not in _SIGNS:
        meant = _MEANT.get(word.text)
        if meant is None:
            return f"'{word.text}' is none of < <= > >=, as no figure is exactly a number; did you mean '>='?"
        return f"'{word.text}' is no comparison; did you mean '{meant}'?"
    if word.text.partition("(")[0].strip() in _JOINING:
        return f"'{word.text}' joins two gates; give each on its own, as one more --gate or in the list of require"
    if word.text == "%" and before is not None and before.kind == "number":
        share = float(before.text) / 100
        return f"{before.text} % is {share:.15g} as a share; points (drop_pp) are written without a sign"
    if word.kind == "other" and word.text not in "+-*/()":
        return f"'{word.text}' belongs to no number, quantity, + - * / or comparison"
    return None


def _judge_behind(word: _Word, before: _Word) -> str | None:
    """The fault of a part that may not stand behind a number, a quantity or a parenthesis."""
    if word.kind == "sign" or word.text in ("+", "-", "*", "/", ")"):
        return None
    if word.kind == "name" and before.kind == "number":
        return _judge_unit(before.text, word)
    if word.text == "(" and before.kind == "name":
        return f"this ( after {before.text} is not closed, or holds more than ENGINE or ENGINE, BATCH"
    return f"'{word.text}' follows '{before.text}' with no sign between them"


def _judge_unit(number: str, word: _Word) -> str:
    """What is wrong with a name right behind a number."""
    name = word.text
    if re.fullmatch(r"(_\d+)+", name):
        return f"a number is written without _: {number}{name.replace('_', '')}"
    if name.casefold() in _BYTES:
        value = float(number) * _BYTES[name.casefold()]
        return f"a number has no unit, as the quantity's name says it: {number} {name} is {value:.15g} in bytes"
    if name.casefold() in _UNITS:
        return f"a number has no unit, as the quantity's name says it: write {number}"
    return f"'{name}' follows the number {number} with no sign between them; an engine stands in parentheses"
