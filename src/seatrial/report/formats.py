"""Rows and sentences as plain text and as Markdown."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.printable import make_printable


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells of finished text under a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[int] = (0,)
    """Columns that are left aligned; the rest are right aligned."""

    @property
    def lines(self) -> list[Sequence[str]]:
        """The header and the rows."""
        return [self.header, *self.rows]


def write_columns(grid: Grid) -> str:
    """Plain text, the columns under each other."""
    columns = []
    for place, cells in enumerate(zip(*grid.lines, strict=True)):
        columns.append(align([make_printable(cell) for cell in cells], place in grid.left))
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def align(cells: Sequence[str], left: bool) -> list[str]:
    """Cells of one column filled up to one width, Chinese characters two places wide."""
    widths = [_measure(cell) for cell in cells]
    spaces = [" " * (max(widths) - width) for width in widths]
    return [cell + space if left else space + cell for cell, space in zip(cells, spaces, strict=True)]


def _measure(cell: str) -> int:
    if cell.isascii():
        return len(cell)
    from rich.cells import cell_len

    return cell_len(cell)


def write_markdown_table(grid: Grid) -> str:
    """A Markdown table."""
    header, *rows = ([escape(cell) for cell in line] for line in grid.lines)
    rule = ["---" if i in grid.left else "---:" for i in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def write_markdown_list(lines: Sequence[str]) -> str:
    """An item for each line."""
    return "\n".join(f"- {escape(line)}" for line in lines)


COMMAND = re.compile(r"`(seatrial [^`|]+)`")
"""A command of ours in a sentence: code, unlike other words between backticks, which may be anybody's names."""


_BLOCK = re.compile(r"\A(#{1,6}(?=\s|\Z)|[-+](?=\s)|=+\Z|-{3,}\Z)")
"""What a paragraph begins with that Markdown takes for a heading, a list or a line."""


def escape(text: str) -> str:
    """Text that Markdown shows as it is, in a table too; commands of ours are code."""
    pieces = COMMAND.split(make_printable(" ".join(text.split())))
    shown = "".join(f"`{piece}`" if place % 2 else _escape_words(piece) for place, piece in enumerate(pieces))
    return _BLOCK.sub(r"\\\1", shown)


def _escape_words(text: str) -> str:
    return re.sub(r"[\\`*\[\]|~]|(?<!\w)_|_(?!\w)", r"\\\g<0>", html.escape(text, quote=False))


def fence(text: str) -> str:
    """A code block that its content cannot close."""
    text = make_printable(text, keep="\n")
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}\n{text}\n{marks}"
