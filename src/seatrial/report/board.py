"""A board of many runs as one HTML file: it opens offline, and its one script is allowed by its hash."""

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from markupsafe import Markup

from seatrial.report.tables import Column
from seatrial.report.template import make_environment


@dataclass(frozen=True, slots=True)
class BoardCell:
    """Finished text, and what it is sorted by."""

    text: str
    key: float | str = ""
    """A number, or a text in lower case; empty comes last."""


@dataclass(frozen=True, slots=True)
class BoardSection:
    """What may stand in one ranking: the engines that were measured on one machine."""

    title: str
    rows: tuple[tuple[BoardCell, ...], ...]


@dataclass(frozen=True, slots=True)
class BoardPage:
    """Everything on the page, in order."""

    title: str
    lines: tuple[str, ...]
    """What readers must know, before all else."""
    columns: tuple[Column, ...]
    """Of every section."""
    sections: tuple[BoardSection, ...]
    unread: tuple[tuple[str, str], ...]
    """Runs that could not be read, and why."""
    version: str

    @property
    def filters(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Columns with few values, and these: what rows may be filtered by."""
        found = []
        for place, column in enumerate(self.columns):
            if column.name in FILTERED and 1 < len(values := self._list_texts(place)) <= MOST_CHOICES:
                found.append((column.name, tuple(sorted(values))))
        return tuple(found)

    @property
    def widths(self) -> tuple[int, ...]:
        """Characters that each column needs: a browser lays out only the rows in its window."""
        return tuple(
            max([4, *(_measure(text, column) for text in self._list_texts(place))])
            for place, column in enumerate(self.columns)
        )

    def _list_texts(self, place: int) -> set[str]:
        """The different texts of a column: of many runs they are few."""
        return {row[place].text for section in self.sections for row in section.rows}


def _measure(text: str, column: Column) -> int:
    """Characters that may not be broken, or that are better not."""
    if column.kind == "number":
        return max(len(text.partition(" (")[0]), len(text.partition(" (")[2]) + 1)
    return min(len(text), MOST_LETTERS)


FILTERED = ("Model", "Engine", "Precision", "Outcome", "Since")
MOST_CHOICES = 200
MOST_LETTERS = 20
"""Of a text on one line, if there is room."""


def write_board_html(page: BoardPage) -> str:
    """The page; without its script all rows are shown, in the order of the runs."""
    script = files("seatrial.report").joinpath("board.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rows = [Markup("\n".join(_write_row(page.columns, row) for row in section.rows)) for section in page.sections]
    template = make_environment().get_template("board.html.j2")
    return template.render(page=page, rows=rows, widths=page.widths, script=Markup(script), digest=digest)


def _write_row(columns: Sequence[Column], row: Sequence[BoardCell]) -> str:
    """A row of the table, by hand: a template takes seconds for ten thousand runs."""
    cells = []
    for column, cell in zip(columns, row, strict=True):
        key = "" if cell.key == "" else f' data-key="{html.escape(str(cell.key))}"'
        colour = f' class="{html.escape(cell.text.lower())}"' if column.kind == "outcome" else ""
        if column.name == "Front" and cell.text.startswith("front"):
            colour = ' class="front"'
        text = html.escape(cell.text)
        if column.kind == "number" and text.endswith(")"):
            # A line ends before an interval, not inside of it.
            text = text.replace("(", "<span>(", 1) + "</span>"
        cells.append(f"<td{key}{colour}>{text}</td>")
    return f"<tr>{''.join(cells)}</tr>"
