"""Every verb has examples in its help, and each is read as the command line reads it."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from seatrial.cli import run_cli
from seatrial.cli.app import make_app
from seatrial.cli.examples import EXAMPLES, IN_GROUPS


def list_verbs(command: Any, name: str = "") -> Iterator[str]:
    for word, verb in getattr(command, "commands", {}).items():
        yield from list_verbs(verb, f"{name} {word}".strip())
    if not hasattr(command, "commands"):
        yield name


def test_every_verb_has_one_to_three() -> None:
    assert set(EXAMPLES) == set(list_verbs(get_command(make_app())))
    assert all(1 <= len(examples) <= 3 for examples in EXAMPLES.values())


@pytest.mark.parametrize(
    ("verb", "example"), [(verb, example) for verb, examples in EXAMPLES.items() for example in examples]
)
def test_an_example_can_be_read(verb: str, example: str) -> None:
    words = shlex.split(example)
    command = get_command(make_app())
    context = command.make_context("seatrial", list(words))
    for word in verb.split():
        name, command, words = command.resolve_command(context, words)  # type: ignore[attr-defined]
        assert name == word
        context = command.make_context(name, list(words), parent=context, resilient_parsing="--config" in words)
        words = [*context._protected_args, *context.args] if hasattr(command, "commands") else []
    assert context.params


def test_every_group_has_some_of_its_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    groups = {name for name, each in get_command(make_app()).commands.items() if hasattr(each, "commands")}  # type: ignore[attr-defined]
    assert set(IN_GROUPS) == groups
    for name, verbs in IN_GROUPS.items():
        assert run_cli([name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert all(f"  seatrial {EXAMPLES[verb][0]}\n" in shown for verb in verbs)


def test_they_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["data", "pack", "--help"]) == 0
    assert f"Examples:\n    seatrial {EXAMPLES['data pack'][0]}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["evaluate", "x", "--imgaes", "y"], "No such option: --imgaes; did you mean '--images'?"),
        (["bench", "x", "--ouptut", "y"], "No such option: --ouptut; did you mean '--output'?"),
        (["evaluat"], "No such command 'evaluat'. Did you mean 'evaluate'?"),
        (["data", "pakc"], "No such command 'pakc'. Did you mean 'pack'?"),
    ],
)
def test_the_nearest_word_is_named(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(words) == 2
    assert capsys.readouterr().err == f"seatrial: {told}\n"
