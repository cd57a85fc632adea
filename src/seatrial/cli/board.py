"""`seatrial board`."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli.output.progress import print_file, print_lines, show_progress, shows_progress
from seatrial.errors import UsageError

Folder = Annotated[Path, typer.Argument(help="A folder with run folders in it, at any depth.")]
Output = Annotated[Path | None, typer.Option("--output", help="File to write; default: the terminal.")]
Form = Annotated[
    str | None, typer.Option("--format", help="html, md, csv or json; default: by the suffix of --output, else md.")
]
Since = Annotated[Path | None, typer.Option("--since", help="An older such folder: mark what certainly changed.")]


@contextmanager
def pausing_collection() -> Iterator[None]:
    """Look for no garbage: ten thousand runs are millions of objects, none of them in a cycle, and it takes as long."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@shows_progress
def board(folder: Folder, output: Output = None, form: Form = None, since: Since = None) -> int:
    """List every run under a folder side by side: accuracy, drop, speed, memory, verdict, and the Pareto front."""
    from seatrial.cli.output.board import FORMS, write_board
    from seatrial.store.files import write_text
    from seatrial.strict import check_name
    from seatrial.workflow.board import read_board

    chosen = form or ("md" if output is None else output.suffix.removeprefix(".").lower())
    if form is None and output is not None and chosen not in FORMS:
        raise UsageError(f"--output {output} does not say its format", f"give --format {' or '.join(FORMS)}")
    check_name(chosen, FORMS, f"--format {chosen}: there is no such format")
    if output is not None and output.exists() and not output.is_file():
        raise UsageError(f"--output {output} is no regular file", "choose another --output")
    with show_progress() as progress, pausing_collection():
        text = write_board(read_board(folder, since, progress), chosen)
    if output is None:
        print_file(text)
    else:
        write_text(output, text)
        print_lines(output)
    return 0
