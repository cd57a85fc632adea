"""What messages advise can be done: every option that they name is one of the verb that they name, or of some verb."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import seatrial
from seatrial.cli.app import make_app
from seatrial.recipes.training import Train

SOURCE = Path(seatrial.__file__).parent
OTHERS = (
    "bench/vendor_logs",
    "cli/compat",
    "cli/train_aliases.py",
    "engines/ascend",
    "engines/tensorrt",
    "cli/train_options.py",
)
"""Where options of other programs are read and written."""
OF_OTHER_PROGRAMS = {"--help", "--head", "--address", "--rm", "--shm-size", "--selftest", "--top"}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
COMMAND = re.compile(r"`seatrial ((?:data |recipes |check-app )?[a-z-]+)([^`]*)`")


FILES: dict[str, str] = {}
"""The file of each verb."""


def list_options() -> dict[str, set[str]]:
    """The options of each verb, by its words."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, set[str]]]:
        if command.callback is not None:
            FILES[" ".join(words)] = str(command.callback.__module__).rpartition(".")[2]
        yield " ".join(words), {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, (*words, name))

    options = dict(walk(typer.main.get_command(make_app()), ()))
    # Those of a training are made when the command runs.
    names = [name.replace("_", "-") for name in Train.model_fields]
    options["train"] |= {f"--{prefix}{name}" for name in names for prefix in ("", "no-")}
    return options


def list_texts() -> Iterator[tuple[str, str]]:
    """Each text in the source but docstrings, with where it is; what is put into a text is `…`."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = str(path.relative_to(SOURCE))
        if not name.startswith(OTHERS):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
            inner |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if id(node) not in inner and (text := read_text(node)):
                    yield f"{name}:{node.lineno}", text  # type: ignore[attr-defined]


def read_text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return ""


OPTIONS = list_options()
EVERY = set().union(*OPTIONS.values())
TEXTS = dict(list_texts())


def test_every_option_that_is_named_exists() -> None:
    assert len(TEXTS) > 1000 and sum("--" in text for text in TEXTS.values()) > 100
    unknown = {
        f"{place} {option}"
        for place, text in TEXTS.items()
        for option in OPTION.findall(text)
        if option not in EVERY | OF_OTHER_PROGRAMS
    }
    assert not unknown


def test_every_command_that_is_named_exists_with_its_options() -> None:
    wrong = set()
    for place, text in TEXTS.items():
        for verb, rest in COMMAND.findall(text):
            words = verb if verb in OPTIONS else verb.split(" ")[0]
            if words not in OPTIONS and "…" not in verb:
                wrong.add(f"{place} seatrial {verb}")
            wrong |= {f"{place} {words} {o}" for o in OPTION.findall(rest) if o not in OPTIONS.get(words, EVERY)}
    assert not wrong


@pytest.mark.parametrize("file", sorted({file for file in FILES.values() if file != "app"}))
def test_the_file_of_a_verb_names_the_options_of_its_verbs(file: str) -> None:
    known = set().union(*(OPTIONS[verb] for verb, its in FILES.items() if its == file))
    for place, text in TEXTS.items():
        if place.startswith(f"cli/{file}.py:"):
            assert set(OPTION.findall(re.sub("`[^`]*`", "", text))) <= known, place
