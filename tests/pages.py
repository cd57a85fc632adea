"""The pages of the manual, whose commands are run."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]


def read_page(name: str) -> str:
    """The text of a page, such as `README.md` or `docs/data.md`."""
    return (ROOT / name).read_text(encoding="utf-8")


def read_commands(name: str) -> list[list[str]]:
    """The words after `seatrial` of each line `$ seatrial …` in a page's console blocks, lines ending in \\ joined."""
    blocks = re.findall(r"```console\n(.*?)```", read_page(name), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[2:] for line in lines if line.startswith("$ seatrial ")]


def read_sessions(name: str) -> list[tuple[list[str], list[str]]]:
    """The words of each command in a page's console blocks, and the lines that it is shown to print."""
    sessions = []
    for block in re.findall(r"```console\n(.*?)```", read_page(name), re.DOTALL):
        for part in block.replace("\\\n", " ").split("$ ")[1:]:
            command, *shown = part.splitlines()
            sessions.append((shlex.split(command), [line for line in shown if line.strip()]))
    return sessions


def read_files(name: str) -> list[tuple[str, str]]:
    """Names and texts of the Python files that a page shows, whose first line is `# NAME`."""
    return re.findall(r"```python\n# (\S+)\n(.*?)```", read_page(name), re.DOTALL)
