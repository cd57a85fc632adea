"""A row for each engine and batch size, for spreadsheets and data frames: the columns of `rows`."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from seatrial.printable import make_printable
from seatrial.report.forms.rows import ENGINE_COLUMNS, SPEED_COLUMNS, Value, list_engine, list_speeds
from seatrial.results.run_folder import Run

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet would run."""


def write_csv(run: Run) -> str:
    """Figures in full precision; an engine whose speed is not known has one row, with empty cells for it."""
    rows = (
        {**list_engine(run, name), **speed}
        for name in run.engines
        for speed in list_speeds(run, name) or [dict.fromkeys(SPEED_COLUMNS)]
    )
    return write_rows([*ENGINE_COLUMNS, *SPEED_COLUMNS], rows)


def write_rows(columns: Sequence[str], rows: Iterable[Mapping[str, Value]]) -> str:
    """Rows under their header; a text that a spreadsheet would take for a formula has an apostrophe in front."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({column: _write(value) for column, value in row.items()})
    return file.getvalue()


def _write(value: Value) -> str:
    if isinstance(value, str):
        flat = make_printable(" ".join(value.split()))
        return f"'{flat}" if value.startswith(_FORMULA) else flat
    return "" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
