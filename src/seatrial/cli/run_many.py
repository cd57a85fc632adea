"""`seatrial run-many`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli.options import Json, Output
from seatrial.cli.output.progress import print_json, print_lines, print_table, show_progress, shows_progress
from seatrial.errors import SeatrialError

if TYPE_CHECKING:
    from seatrial.store.run_many import RunManyRecord

List = Annotated[Path, typer.Argument(metavar="LIST.toml", help="Models, options and what to skip (docs/board.md).")]
BOARD = "board.html"


@shows_progress
def run_many(path: List, output: Output, as_json: Json = False) -> int:
    """Put many models through `seatrial run`, a process each, and write the board; the worst exit code counts."""
    from seatrial.cli.output.board import write_board
    from seatrial.store.files import write_text
    from seatrial.workflow.board import read_board
    from seatrial.workflow.run_many import run_many as run_list

    with show_progress() as progress:
        record = run_list(path, output, progress)
        try:
            write_text(output / BOARD, write_board(read_board(output, progress=progress), "html"))
        except SeatrialError as error:
            board = f"no board: {error.problem}"
        else:
            board = f"board: {output / BOARD}"
    if as_json:
        print_json(record.model_dump(mode="json", by_alias=True))
        return record.exit_code
    print_cells(record)
    print_lines(board)
    return record.exit_code


def print_cells(record: "RunManyRecord") -> None:
    """Print a table of the models, then why each did not pass and the command that repeats it."""
    rows = [
        [
            cell.name,
            cell.outcome,
            "–" if cell.exit_code is None else str(int(cell.exit_code)),
            "–" if cell.seconds is None else f"{cell.seconds:.0f}",
        ]
        for cell in record.cells
    ]
    print_table(["model", "outcome", "exit code", "seconds"], rows)
    for cell in record.cells:
        if cell.reason:
            print_lines("", f"{cell.name}: {cell.outcome}: {cell.reason}")
        if cell.outcome not in ("PASS", "skipped"):
            print_lines(f"  {cell.command}")
