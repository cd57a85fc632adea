"""Tables, paragraphs and lists in the requested layout, and figures as the Ascend guides print them."""

from collections.abc import Sequence
from enum import StrEnum

from seatrial.printable import make_printable
from seatrial.report.formats import Grid, align, write_columns, write_markdown_list, write_markdown_table

RATE_DIGITS, RATIO_DIGITS = 4, 9
"""Most decimals that the guides print of images per second and of ratios."""
BEST = "最优batch"
"""What the guides call the row of the best batches."""


class Layout(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    GUIDE = "guide"
    MARKDOWN = "markdown"


def write_guide_table(grid: Grid) -> str:
    """Markdown whose columns line up, Chinese characters two places wide."""
    from rich.cells import cell_len

    columns = [align([make_printable(cell) for cell in column], left=True) for column in zip(*grid.lines, strict=True)]
    header, *rows = zip(*columns, strict=True)
    rule = ["-" * cell_len(cell) for cell in header]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


_TABLES = {Layout.TABLE: write_columns, Layout.GUIDE: write_guide_table, Layout.MARKDOWN: write_markdown_table}


def write_blocks(layout: Layout, *blocks: str | Grid | Sequence[str]) -> str:
    """Paragraphs as they are, tables, and lists of lines, an empty line between them; empty ones are left out."""
    return "\n\n".join(filter(None, (_write_block(layout, block) for block in blocks)))


def _write_block(layout: Layout, block: str | Grid | Sequence[str]) -> str:
    if isinstance(block, str):
        return block
    if isinstance(block, Grid):
        return _TABLES[layout](block) if block.rows else ""
    return "\n".join(map(make_printable, block)) if layout is Layout.TABLE else write_markdown_list(block)
