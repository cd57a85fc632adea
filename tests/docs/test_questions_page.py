"""What the page of questions names is there: every verb once, options, and the words of the errors in the source."""

import re
import shlex
from pathlib import Path

import seatrial
from pages import read_page
from seatrial.cli import _find_command
from seatrial.cli.app import make_app

PAGE = read_page("docs/questions.md")
VERBS = _find_command(make_app()).commands
CALLS = [shlex.split(call)[1:] for call in re.findall(r"`(seatrial [^`]+)`", PAGE)]
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in Path(seatrial.__file__).parent.rglob("*.py"))


def test_every_verb_answers_a_question() -> None:
    tables = PAGE.partition("## Which command?")[2].partition("## How do I")[0]
    named = re.findall(r"`seatrial ([a-z-]+)", tables)
    assert sorted({*named}) == sorted(VERBS)


def test_every_verb_and_option_of_the_page_exists() -> None:
    assert len(CALLS) > 30
    for verb, *words in CALLS:
        command = VERBS[verb]
        if words and words[0] in getattr(command, "commands", ()):
            command = command.commands[words.pop(0)]
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, (verb, words)
    alone = {*re.findall(r"`(--[a-z-]+)", PAGE)}
    assert alone <= {name for command in VERBS.values() for parameter in command.params for name in parameter.opts}


def test_the_errors_of_the_page_are_those_of_the_program() -> None:
    table = PAGE.partition("| the line has |")[2].partition("\n\n")[0].splitlines()[2:]
    words = [word for row in table for word in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert len(words) > 10
    assert [word for word in words if word not in SOURCE] == []
