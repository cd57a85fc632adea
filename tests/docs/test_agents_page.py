"""What AGENTS.md and llms.txt tell an agent is so: verbs, those with --json, exit codes, links."""

import re
from typing import Any

import typer

from pages import ROOT, read_page
from seatrial.cli.app import make_app
from seatrial.errors import ExitCode

PAGE = read_page("AGENTS.md")
APP: Any = typer.main.get_command(make_app())


def list_flags(name: str) -> set[str]:
    command = APP.commands[name]
    return {flag for parameter in command.get_params(typer.Context(command)) for flag in parameter.opts}


def test_every_verb_is_named_with_whether_it_prints_json() -> None:
    has, has_not = re.search(r"Verbs that have it: (.+?)\. Those without: (.+?)\.\n", PAGE, re.DOTALL).groups()  # type: ignore[union-attr]
    prints = set(re.findall(r"`([a-z-]+)`", has))
    others = set(re.findall(r"`([a-z-]+)`", has_not))
    assert prints == {name for name in APP.commands if "--json" in list_flags(name)}
    assert others == set(APP.commands) - prints
    for name, command in APP.commands.items():
        if name in others and hasattr(command, "commands"):
            assert any("--json" in p.opts for c in command.commands.values() for p in c.get_params(typer.Context(c)))
    assert all("--format" in list_flags(name) for name in ("board", "report"))


def test_every_exit_code_is_explained_in_our_words() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
    assert [(int(code), meaning) for code, meaning, _ in rows] == [(int(code), code.meaning) for code in ExitCode]


def test_every_command_that_is_named_has_its_options() -> None:
    for line in re.findall(r"`seatrial ([a-z][^`]*)`", PAGE):
        name, *words = line.split()
        command, flags = APP.commands[name], list_flags(name)
        if words and words[0] in getattr(command, "commands", {}):
            continue
        assert {word for word in words if word.startswith("--")} <= flags, line


def test_every_link_leads_somewhere() -> None:
    for page in ("AGENTS.md", "llms.txt"):
        links = re.findall(r"\]\(([^)#]+)", read_page(page))
        assert links and all((ROOT / link).exists() for link in links)
