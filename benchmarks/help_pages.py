"""Every `--help` page of a source tree in one text, so that two trees can be read side by side.

PYTHONPATH=OLD/src python benchmarks/help_pages.py > old.txt
PYTHONPATH=src python benchmarks/help_pages.py > new.txt
diff -u old.txt new.txt
"""

import os
import sys
from collections.abc import Iterator

os.environ |= {"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}

import typer.main

from seatrial.cli import run_cli
from seatrial.cli.app import make_app


def list_commands() -> Iterator[list[str]]:
    """The words of each command that has a page, groups before their commands."""
    yield []
    for name, command in getattr(typer.main.get_command(make_app()), "commands", {}).items():
        yield [name]
        yield from ([name, inner] for inner in getattr(command, "commands", {}))


def main() -> int:
    """Print them."""
    sys.argv[0] = "seatrial"
    for words in list_commands():
        print(f"### seatrial {' '.join(words)}", flush=True)
        run_cli([*words, "--help"])
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
