"""What the user's own code may do to this process while it runs: not end it as if its work were done, nor move it."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seatrial.errors import first_line

LEAVING = ("_exit", "execv", "execve")
"""Functions of `os` that end this program on the spot, without a word and with an exit code of their own."""


class Departure(SystemExit):
    """The user's code called a function of `LEAVING`."""


@contextlib.contextmanager
def contain() -> Iterator[None]:
    """Run the user's code in the block.

    What it prints goes to stderr. A change of the working folder, of the search path of modules or of torch's default
    dtype ends with the block. What would end the process at once raises `Departure` instead; in a process that the code
    forked it does what it always does.
    """
    process, path = os.getpid(), list(sys.path)
    real = {name: getattr(os, name) for name in LEAVING}

    def replace(name: str) -> Any:
        def depart(*arguments: Any) -> None:
            if os.getpid() != process:
                real[name](*arguments)
            raise Departure(f"os.{name}")

        return depart

    torch = sys.modules.get("torch")
    dtype = torch.get_default_dtype() if torch else None
    try:
        for name in LEAVING:
            setattr(os, name, replace(name))
        with contextlib.redirect_stdout(sys.stderr), contextlib.chdir(Path.cwd()):
            yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)
        sys.path[:] = path
        if torch and torch.get_default_dtype() != dtype:
            torch.set_default_dtype(dtype)


def describe_failure(error: BaseException) -> str:
    """What the user's code raised, or how it tried to leave."""
    if isinstance(error, SystemExit):
        return f"it leaves with {error if isinstance(error, Departure) else 'sys.exit'}"
    return f"{type(error).__name__}: {first_line(error)}"
