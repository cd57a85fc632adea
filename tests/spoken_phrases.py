"""Every phrase that the report says, found in its source: what a catalogue must have."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import seatrial.report

FOLDER = Path(seatrial.report.__file__).parent
FUNCTIONS = ("say", "phrase")
"""Those that take a phrase as a literal: `say` says it, `phrase` marks one that is said later."""


def list_phrases() -> list[tuple[str, str]]:
    """Each phrase with its place, from the modules and the templates of the report."""
    return [
        (found, str(path.relative_to(FOLDER)))
        for path in sorted(FOLDER.rglob("*"))
        for found in (_read_module(path) if path.suffix == ".py" else _read_template(path))
    ]


def _read_module(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
            first = node.args[0]
            if isinstance(first, ast.Constant):
                assert isinstance(first.value, str)
                yield first.value
            else:
                # Only what a module marked may be said by another name.
                assert node.func.id == "say" and isinstance(first, (ast.Name, ast.Attribute, ast.Subscript)), path


def _read_template(path: Path) -> Iterator[str]:
    if path.suffix == ".j2":
        yield from re.findall(r'say\("([^"]+)"', path.read_text(encoding="utf-8"))


def find_fields(phrase: str) -> list[str]:
    """The names in braces, in alphabetical order."""
    return sorted(re.findall(r"\{(\w+)\}", phrase))
