"""What stands in front of a command in the guides: interpreters, folders, the machine's architecture."""

import re
from collections.abc import Sequence
from pathlib import Path

from seatrial.errors import UsageError

LAUNCHER = re.compile(r"python(\d+(\.\d+)*)?|bash|sh|nohup|time|sudo|env")
"""Programs that start another one."""
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*")
UNSET = re.compile(r"\$\{?\w+\}?")
"""A shell variable that was not expanded, as in ./benchmark.${arch}."""


def strip_launchers(words: Sequence[str]) -> tuple[Path, tuple[str, ...]]:
    """The command without what starts it, and its words.

    Raises:
        UsageError: nothing is left, or Python code is given in place of a script.
    """
    rest = list(words)
    launched = False
    while rest and (LAUNCHER.fullmatch(Path(rest[0]).name) or (launched and _is_option(rest[0]))):
        if rest[0] == "-c":
            raise UsageError("compat runs no code that is given after -c", "give the command of a guide")
        launched = True
        rest.pop(0)
    while rest and ASSIGNMENT.fullmatch(rest[0]):
        rest.pop(0)
    if not rest:
        raise UsageError(
            "compat needs the command of a guide", "write it behind, such as `seatrial compat python3 get_info.py …`"
        )
    command = Path(UNSET.sub("", rest[0]).rstrip("."))
    if not command.name:
        raise UsageError(
            f"compat does not know the command '{rest[0]}'", "`seatrial compat --list` lists those it knows"
        )
    return command, tuple(rest[1:])


def _is_option(word: str) -> bool:
    """Whether it is an interpreter's own option, such as -m, -u and -x."""
    return word.startswith("-") and not word.startswith("--")
