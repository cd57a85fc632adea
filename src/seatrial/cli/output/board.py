"""A board of many runs as a page, as Markdown, CSV or JSON."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from seatrial import __version__
from seatrial.compare.board import BoardRow
from seatrial.printable import make_printable
from seatrial.report.board import BoardCell, BoardPage, BoardSection, write_board_html
from seatrial.report.formats import Grid, escape, write_markdown_list, write_markdown_table
from seatrial.report.forms.csv import write_rows
from seatrial.report.numbers import count_of, write_count, write_figures, write_percent, write_points, write_size
from seatrial.report.tables import NOTHING, Column, numbers
from seatrial.store.records import NO_LABELS
from seatrial.workflow.board import Board

NOT_MEASURED = "Speed not measured"
MACHINES = (
    "There is a table for each machine that measured the speeds: engines on different machines are never ranked "
    "against each other."
)
FRONT = (
    "Front: of those on one machine, the same images and labels, an engine is beaten only where another is certainly "
    "better: its 95 % interval of images/s lies above, and so does that of top-1, or every first class is the same. "
    "Tied: the intervals overlap in both."
)
CHANCE = "Since: marked by 95 % intervals, so about 5 of 100 engines that did not change are marked by chance."


def write_board(board: Board, form: str) -> str:
    """The board in a format of `FORMS`; bytes of folders' names that are no text become question marks."""
    return FORMS[form](board).encode("utf-8", "replace").decode()


def make_page(board: Board) -> BoardPage:
    """The board in words and rows, a section for each machine."""
    by_machine: dict[str, list[BoardRow]] = {}
    for row in board.rows:
        if not row.reason:
            by_machine.setdefault(_name_section(row), []).append(row)
    names = sorted(by_machine, key=lambda name: (name == NOT_MEASURED, name))
    return BoardPage(
        title=f"{count_of(board.runs, 'run')}, {count_of(len(board.rows) - board.unread, 'engine')}",
        lines=tuple(_list_lines(board)),
        columns=tuple(_list_columns(board)),
        sections=tuple(
            BoardSection(name, tuple(tuple(_list_cells(row, board)) for row in by_machine[name])) for name in names
        ),
        unread=tuple((row.run, row.reason) for row in board.rows if row.reason),
        version=__version__,
    )


def _name_section(row: BoardRow) -> str:
    return f"{row.engine.machine} ({row.engine.machine_hash[:8]})" if row.engine.machine else NOT_MEASURED


def _list_lines(board: Board) -> Iterator[str]:
    yield MACHINES
    yield FRONT
    if board.since:
        kinds = [row.change.kind for row in board.rows if row.change is not None]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        yield f"Since {board.since}: {counts}."
        yield CHANCE
    if board.gone:
        yield f"Only in {board.since}: {'; '.join(' '.join(cell) for cell in board.gone)}"
    if board.unread:
        yield f"{count_of(board.unread, 'run')} could not be read: see the end of this page."


def _list_columns(board: Board) -> Iterator[Column]:
    yield from (Column("Run", "code"), Column("Model"), Column("Engine"), Column("Precision"))
    yield from (Column("Outcome", "outcome"), Column("Front"))
    yield from numbers("Top-1, % (interval)", "Drop, points (interval)", "Best images/s (interval)", "at batch size")
    yield from numbers("Agree, % (interval)", "Images", "Memory", "On disk")
    if board.since:
        yield from (Column("Since"), Column("What changed"))


def _list_cells(row: BoardRow, board: Board) -> Iterator[BoardCell]:
    engine, best = row.engine, row.best
    yield _text(row.run)
    yield _text(row.model)
    yield _text(engine.name)
    yield _text(engine.precision)
    yield _text(_describe_outcome(row))
    yield _text(row.front or f"not ranked: {row.unranked}")
    if engine.images and engine.top1 is None:
        yield BoardCell(NO_LABELS)
    else:
        yield _estimate(engine.top1, engine.top1_low, engine.top1_high, write_percent)
    yield _estimate(engine.drop_pp, engine.drop_low_pp, engine.drop_high_pp, write_points)
    yield BoardCell(NOTHING) if best is None else _estimate(best.images_per_s, best.low, best.high, write_figures)
    yield _number(best and best.batch_size, str)
    yield _estimate(engine.agreement, engine.agreement_low, engine.agreement_high, write_percent)
    yield _number(engine.images, write_count)
    yield _number(best and best.memory_bytes, write_size)
    yield _number(engine.size_bytes, write_size)
    if board.since:
        yield _text(row.change.kind if row.change else "")
        yield _text(row.change.reason if row.change else "")


def _describe_outcome(row: BoardRow) -> str:
    """The outcome of the engine's gates; of one without any that of its run, unless it is the reference."""
    if row.engine.outcome is not None:
        return row.engine.outcome
    return "reference" if row.engine.name == row.reference else "not judged"


def _text(text: str) -> BoardCell:
    return BoardCell(make_printable(text) or NOTHING)


def _number(value: Any, write: Callable[[Any], str]) -> BoardCell:
    return BoardCell(NOTHING) if value is None else BoardCell(write(value), value)


def _estimate(value: float | None, low: float | None, high: float | None, write: Callable[[float], str]) -> BoardCell:
    """A figure with its interval."""
    if value is None or low is None or high is None:
        return _number(value, write)
    return BoardCell(f"{write(value)} ({write(low)} to {write(high)})", value)


def _write_markdown(board: Board) -> str:
    page = make_page(board)
    blocks = [f"# {escape(page.title)}", write_markdown_list(page.lines)]
    left = [place for place, column in enumerate(page.columns) if column.kind != "number"]
    for section in page.sections:
        rows = [[cell.text for cell in row] for row in section.rows]
        grid = Grid([column.name for column in page.columns], rows, left)
        blocks += [f"## {escape(section.title)}", write_markdown_table(grid)]
    if page.unread:
        blocks += ["## Runs that could not be read", write_markdown_list([": ".join(each) for each in page.unread])]
    return "\n\n".join(blocks) + "\n"


QUALITY = (
    *("images", "top1", "top1_low", "top1_high", "drop_pp", "drop_low_pp", "drop_high_pp"),
    *("agreement", "agreement_low", "agreement_high"),
)
"""Fields of a row that are the engine's in brief as they are."""


def list_facts(board: Board) -> list[dict[str, Any]]:
    """Every row by name, units in the names; figures in full."""
    rows = (_list_facts(row, board) for row in board.rows)
    return [{n: make_printable(v) if isinstance(v, str) else v for n, v in row.items()} for row in rows]


def _list_facts(row: BoardRow, board: Board) -> dict[str, Any]:
    engine, best = row.engine, row.best
    facts: dict[str, Any] = {
        "run": row.run,
        "model": row.model,
        "title": row.title,
        "engine": engine.name,
        "device": engine.device,
        "precision": engine.precision,
        **{name: getattr(engine, name) for name in QUALITY},
        "images_per_s": best and best.images_per_s,
        "images_per_s_low": best and best.low,
        "images_per_s_high": best and best.high,
        "batch_size": best and best.batch_size,
        "streams": best and best.streams,
        "doubt": best and best.doubt,
        "memory_bytes": best and best.memory_bytes,
        "size_bytes": engine.size_bytes,
        "outcome": engine.outcome,
        "run_outcome": row.run_outcome,
        "front": row.front or f"not ranked: {row.unranked}",
        "machine": engine.machine,
        "machine_hash": engine.machine_hash,
        "stale_records": row.stale,
        "not_read": row.reason,
    }
    if board.since:
        facts |= {"since": row.change and row.change.kind, "changed": row.change and row.change.reason}
    return facts


def _write_csv(board: Board) -> str:
    rows = list_facts(board)
    return write_rows(list(rows[0]), rows)


def _write_json(board: Board) -> str:
    values = {"runs": board.runs, "not_read": board.unread, "since": board.since or None, "gone": board.gone}
    return json.dumps({**values, "engines": list_facts(board)}, indent=1, ensure_ascii=False) + "\n"


def _write_html(board: Board) -> str:
    return write_board_html(make_page(board))


FORMS: dict[str, Callable[[Board], str]] = {
    "html": _write_html,
    "md": _write_markdown,
    "csv": _write_csv,
    "json": _write_json,
}
"""What writes each format, by name, which is also its file's suffix."""
