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
