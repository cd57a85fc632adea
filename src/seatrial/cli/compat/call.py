"""What a command of the porting guides is here: the types of the tables, and how its words are read.

A command is a row, a `Tool`, in the `TOOLS` of its family's file; `tools.py` joins them, and docs/compat.md shows them.
To add one:

1. write a `Planner`: a function from the `Call` that was read to the `Plan` of `seatrial` commands that do the same;
2. put a `Tool` with it into `TOOLS` of the family's file, or of a new file that `tools.py` joins;
3. give each flag of theirs a `Flag`: handed on by an option of ours (`ours`), read by the planner, dropped or refused.

Whatever a row does not know is refused with the nearest flag that it knows, so a row needs no checks of its own.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from seatrial.errors import UsageError
from seatrial.strict import suggest

TRUE, FALSE = ("true", "yes", "t", "y", "1"), ("false", "no", "f", "n", "0")
"""How the guides' tools spell a switch, in any case."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of theirs."""

    names: tuple[str, ...]
    """Without dashes, `_` for `-` within; the first is the one that planners know it by."""
    ours: str = ""
    """Our option that takes its value; empty where the planner reads it."""
    takes: Literal["value", "none", "truth"] = "value"
    """A truth may be left out, which is true."""
    choices: Mapping[str, str] | None = None
    """Values that it may have, in small letters, and ours; None takes any as it is."""
    dropped: str = ""
    """Why it has no effect here."""
    refused: str = ""
    """Why it cannot be done, and our way."""
    unless: tuple[str, ...] = ()
    """Of a refused one, the values that ask for nothing and are dropped."""
    means: str = ""
    """What the planner makes of it, for the page."""


@dataclass(frozen=True, slots=True)
class Call:
    """A command of theirs that was read."""

    tool: "Tool"
    name: str
    """As it was called, without its folder."""
    folder: Path
    """Where it was said to lie."""
    words: tuple[str, ...]
    """All of its words, as they were given."""
    arguments: tuple[str, ...]
    """Words that are no flags."""
    values: Mapping[str, str]
    """Values of flags by their first name; of a switch `true` or `false`."""
    handed_on: tuple[str, ...]
    """Our options, of flags that have one."""
    notes: tuple[str, ...]
    """On flags that were dropped."""
    recipe: str | None = None
    """`--recipe` in front of the command."""
    engine: str | None = None
    """`--engine` in front of the command."""

    def need(self, name: str) -> str:
        """The value of a flag that must be given.

        Raises:
            UsageError: it is not.
        """
        if name not in self.values:
            dashes = "--" if len(name) > 1 else "-"
            raise UsageError(f"{self.name} needs {dashes}{name}", f"its form: {self.name} {self.tool.usage}")
        return self.values[name]

    def is_true(self, name: str) -> bool:
        """Whether a truth was given."""
        return self.values.get(name) == "true"


@dataclass(frozen=True, slots=True)
class Plan:
    """Commands of ours that do what a command of theirs does."""

    commands: tuple[tuple[str, ...], ...]
    """The words after `seatrial` of each; they run in this order."""
    notes: tuple[str, ...] = ()
    """What was chosen, and why."""
    begin: tuple[str, ...] = ()
    """Lines that their tool prints first."""
    finish: Callable[[], None] | None = None
    """Runs after the commands: prints what their tool prints in the end."""
    is_quiet: bool = False
    """What the commands print goes to stderr, as stdout is their tool's."""
    scratch: Path | None = None
    """A folder that is removed in the end."""


Planner = Callable[[Call], Plan]


@dataclass(frozen=True, slots=True)
class Tool:
    """A row: a command of theirs."""

    names: tuple[str, ...]
    """Patterns of its name; the first is what the page calls it."""
    usage: str
    """Its form, for errors and the page."""
    ours: str
    """The commands of ours that do it, for the page."""
    plan: Planner | None
    """None refuses it, for `ours`."""
    flags: tuple[Flag, ...] = ()
    arguments: tuple[int, ...] = (0,)
    """The numbers of words, other than flags, that it may have."""
    recipe: str | None = None
    """The card of the network that it belongs to; None where its name leaves that open."""
    abbreviates: bool = False
    """It takes the beginning of a flag for the flag, as Python's argparse does, where only one begins so."""


def find_tool(name: str, tools: Sequence[Tool]) -> Tool:
    """The first row that a name fits, in any case.

    Raises:
        UsageError: there is none; names the nearest.
    """
    small = name.lower()
    for tool in tools:
        if any(fnmatchcase(small, pattern.lower()) for pattern in tool.names):
            return tool
    known = [pattern for tool in tools for pattern in tool.names if "*" not in pattern]
    near = difflib.get_close_matches(name, known, n=1)
    fix = f"did you mean '{near[0]}'?" if near else "`seatrial compat --list` lists those that it knows"
    raise UsageError(f"compat does not know the command '{name}'", fix)


def read_call(tool: Tool, command: Path, words: Sequence[str]) -> Call:
    """Sort the words of a command into flags and arguments.

    Raises:
        UsageError: a flag is unknown, refused, given twice or without its value, or there are too many or few words.
    """
    name = command.name
    flags = {spelling: flag for flag in tool.flags for spelling in flag.names}
    values: dict[str, str] = {}
    handed_on: list[str] = []
    notes, arguments = [], []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            continue
        flag = _find_flag(name, word, flags, tool.abbreviates)
        value = _read_value(name, flag, word, queue)
        if flag.names[0] in values:
            raise UsageError(f"{name}: {word} is given twice", "give it once")
        values[flag.names[0]] = value
        if flag.refused and value.lower() not in flag.unless:
            raise UsageError(f"{name}: {word} is not possible here", flag.refused)
        if flag.dropped or flag.refused:
            notes.append(f"{word} is dropped" + (f": {flag.dropped}" if flag.dropped else ""))
        elif flag.ours and flag.takes == "value":
            handed_on += [flag.ours, value]
        elif flag.ours and value == "true":
            handed_on.append(flag.ours)
    if len(arguments) not in tool.arguments:
        given = f"not {len(arguments)} words ({' '.join(arguments)})" if arguments else "and no words were given"
        raise UsageError(f"{name} takes {tool.usage or 'flags only'}, {given}", "see docs/compat.md")
    return Call(tool, name, command.parent, tuple(words), tuple(arguments), values, tuple(handed_on), tuple(notes))


def read_places(call: Call, names: Sequence[str], arguments: Sequence[str]) -> tuple[str, ...]:
    """Values that are given by flags of these names or, if none of them is, by words.

    Raises:
        UsageError: both are, or a flag is missing.
    """
    if not any(name in call.values for name in names):
        return tuple(arguments)
    if arguments:
        flags = " and ".join(f"--{name}" if len(name) > 1 else f"-{name}" for name in names)
        raise UsageError(f"{call.name} takes {flags} or words, not both", f"its form: {call.tool.usage}")
    return tuple(call.need(name) for name in names)


def _find_flag(name: str, word: str, flags: Mapping[str, Flag], abbreviates: bool) -> Flag:
    spelled = word.lstrip("-").partition("=")[0].replace("-", "_")
    begun = {id(flag): flag for each, flag in flags.items() if each.startswith(spelled)} if abbreviates else {}
    if spelled not in flags and spelled and len(begun) == 1:
        return next(iter(begun.values()))
    if spelled not in flags:
        known = [f"--{each}" if len(each) > 1 else f"-{each}" for each in flags]
        fix = suggest(f"--{spelled}", known) if known else "it takes no flags"
        raise UsageError(f"{name}: there is no flag {word.partition('=')[0]}", fix)
    return flags[spelled]


def _read_value(name: str, flag: Flag, word: str, queue: list[str]) -> str:
    """The value of a flag, joined to it by `=` or the next word, which is taken from `queue`."""
    _, joined, value = word.partition("=")
    if flag.takes == "none":
        if joined:
            raise UsageError(f"{name}: {word.partition('=')[0]} takes no value", "give it alone")
        return "true"
    if flag.takes == "truth":
        if not joined:
            value = queue.pop(0) if queue and queue[0].lower() in TRUE + FALSE else "true"
        if value.lower() not in TRUE + FALSE:
            raise UsageError(f"{name}: {word} is neither true nor false", "give true or false")
        return "true" if value.lower() in TRUE else "false"
    if not joined:
        if not queue:
            raise UsageError(f"{name}: {word} needs a value", f"give {word} VALUE")
        value = queue.pop(0)
    if flag.choices is None:
        return value
    if value.lower() not in flag.choices:
        shown = word if joined else f"{word} {value}"
        raise UsageError(f"{name}: {shown} is not possible here", f"possible: {', '.join(flag.choices)}")
    return flag.choices[value.lower()]
