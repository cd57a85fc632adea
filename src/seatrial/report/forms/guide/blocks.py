"""Markdown of a guide's README: tables, and numbered steps."""

from collections.abc import Sequence

from seatrial.report.formats import Grid, write_markdown_table

NOTHING = "-"
"""What the guides write where there is nothing to say."""


def tabulate(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table; columns of numbers, counted from 0, are right aligned."""
    left = [place for place in range(len(header)) if place not in right]
    return write_markdown_table(Grid(header, rows, left))


def number_steps(steps: Sequence[Sequence[str]]) -> str:
    """A numbered list, each step's further blocks indented below it."""
    return "\n\n".join(
        f"{place}. " + "\n\n".join(blocks).replace("\n", "\n   ").replace("\n   \n", "\n\n")
        for place, blocks in enumerate(steps, start=1)
    )
