"""Progress and results for a person: bars on a terminal, plain lines elsewhere, tables on stdout."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

from seatrial.printable import make_printable
from seatrial.progress import Progress, Update
from seatrial.report.formats import Grid, write_columns

PLAIN_EVERY_S = 10.0


def show_progress() -> AbstractContextManager[Progress]:
    """Show updates on stderr until the block ends."""
    return _bars() if sys.stderr.isatty() else nullcontext(PlainLines())


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]} {task.fields[facts]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", visible=False, unit="", facts="")
        stage, done = "", 0

        def show(update: Update) -> None:
            nonlocal stage, done
            if update.note:
                shown = make_printable(update.note)
                bars.console.print(f"{update.stage:>10}  {shown}", highlight=False, markup=False)
                return
            if update.stage != stage or update.done < done:
                bars.reset(task, description=update.stage, visible=True)
            stage, done = update.stage, update.done
            facts = " ".join(f"{name} {value}" for name, value in update.facts.items())
            bars.update(task, completed=update.done, total=update.total, unit=update.unit, facts=facts)

        yield show


class PlainLines:
    """A line now and then, for logs and pipes."""

    def __init__(self, clock: Any = time.monotonic) -> None:
        self.clock = clock
        self.stage = ""
        self.started = self.shown = 0.0
        self.first = self.done = 0

    def __call__(self, update: Update) -> None:
        """Show a note at once, counted work with the time that is left where its stage had no line for ten seconds."""
        now = self.clock()
        if update.note:
            print_line(update.stage, update.note)
            if update.stage == self.stage:
                self.shown = now
            return
        # Less done than before: another engine begins the same stage.
        if update.stage != self.stage or update.done < self.done:
            self.stage, self.started, self.shown, self.first = update.stage, now, now, update.done
        self.done = update.done
        if now - self.shown < PLAIN_EVERY_S:
            return
        self.shown = now
        done = update.done - self.first
        left = (now - self.started) / done * (update.total - update.done) if done else 0
        facts = "".join(f", {name} {value}" for name, value in update.facts.items())
        counted = f"{update.done}/{update.total} {update.unit}"
        print_line(update.stage, f"{counted}{facts}, {left:.0f} s left")


def print_line(stage: str, text: str) -> None:
    """A line on stderr."""
    print(f"{stage:>10}  {make_printable(text)}", file=sys.stderr, flush=True)


def print_text(text: str) -> None:
    """Finished text on stdout, in which only our own line ends are control characters."""
    print(make_printable(text, keep="\n"))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> None:
    """A table on stdout; the columns in `left` are left aligned, the rest right."""
    print(write_columns(Grid(header, rows, left)))


def print_json(value: Any) -> None:
    """One JSON document on stdout; records and dataclasses become objects."""
    print(json.dumps(value, indent=1, ensure_ascii=False, default=_to_plain))


def _to_plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
