"""A table as columns of text, as Markdown, or in the shape of the Ascend guides' README tables."""

import unicodedata
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

RATE_DIGITS, RATIO_DIGITS = 4, 9
"""Most decimals that the guides print of images per second and of ratios."""
BEST = "最优batch"
"""What the guides call the row of the best batches."""


class Layout(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    GUIDE = "guide"
    MARKDOWN = "markdown"


def round_half_up(value: float | Decimal, digits: int) -> str:
    """A figure rounded once, from all the digits it has, a half upwards."""
    return f"{Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):f}"


def write_exact(value: float | Decimal, digits: int) -> str:
    """`round_half_up` without the zeros at its end, as the guides print figures: 5246.8."""
    text = round_half_up(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def write_ratio(value: float) -> str:
    """Three decimals, more where those would say 1.000 of what is not 1: 0.9995."""
    digits = next((d for d in range(3, 9) if value == 1 or float(round_half_up(value, d)) != 1), 9)
    return round_half_up(value, digits)


def write_guide_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown whose columns line up, Chinese characters two places wide."""
    lines = [["", *header], *map(list, rows)]
    widths = [max(_width(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    padded = ([cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in padded)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def write_markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Markdown; the columns in `left` are left aligned, the rest right."""
    from seatrial.report.markdown import escape

    rule = ["---" if i in left else "---:" for i in range(len(header))]
    lines = [[escape(cell) for cell in header], rule, *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_table(
    layout: Layout, header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)
) -> str:
    """A table as text or as Markdown."""
    if layout is Layout.MARKDOWN:
        return write_markdown_table(header, rows, left)
    from seatrial.report.terminal import write_columns

    return write_columns([list(header), *map(list, rows)], tuple(left))
