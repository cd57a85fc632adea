"""Options that several verbs share, and how their texts are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from seatrial.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Output = Annotated[Path, typer.Option("--output", help="Where the result goes.")]
Labels = Annotated[
    Path | None, typer.Option("--labels", help="File of `NAME CLASS` lines; without it, IMAGES holds class folders.")
]
Folder = Annotated[Path, typer.Argument(help="An engine folder that `seatrial compile` wrote.")]
Images = Annotated[Path, typer.Option("--images", help="Folder of images.")]


def read_sizes(text: str) -> tuple[int, ...]:
    """Batch sizes from `1,4,8`.

    Raises:
        UsageError: one is not a whole number above 0, or stands twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"--batch-size {text} is not whole numbers above 0", "write it like 1,4,8")
    sizes = tuple(int(part) for part in parts)
    if len(set(sizes)) < len(sizes):
        raise UsageError(f"--batch-size {text} names a size twice")
    return sizes


def read_pairs(options: Sequence[str]) -> dict[str, str]:
    """Engine options from `K=V` words.

    Raises:
        UsageError: one has no `=`.
    """
    for option in options:
        if "=" not in option:
            raise UsageError(f"--option {option} is not NAME=VALUE")
    return dict(option.split("=", 1) for option in options)
