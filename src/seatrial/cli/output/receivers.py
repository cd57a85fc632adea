"""What shows the progress of a verb: bars on a terminal, a line now and then elsewhere."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from seatrial.cli.output.lines import print_line
from seatrial.printable import make_printable
from seatrial.progress import Progress, Update, write_duration

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

PLAIN_EVERY_S = 10.0
TICK_S = 1.0


def _make_columns() -> "Iterator[ProgressColumn]":
    from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Counts(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text("" if task.total is None else f"{task.completed:.0f}/{task.total:.0f}")

    class Left(ProgressColumn):
        def render(self, task: Any) -> Text:
            counted = task.total is not None and task.time_remaining is not None and not task.finished
            return Text(f"{write_duration(task.time_remaining)} left" if counted else "")

    yield from (TextColumn("{task.description:>10}"), BarColumn(bar_width=24), Counts())
    yield from (TextColumn("{task.fields[text]}", markup=False), TimeElapsedColumn(), Left())


@contextmanager
def show_bars() -> Iterator[Progress]:
    """A bar for the counted work of the moment, with its rate and the time left; notes stay above it."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    with Bars(*_make_columns(), console=console, transient=True, speed_estimate_period=PLAIN_EVERY_S) as bars:
        task = bars.add_task("", visible=False, text="")
        stage, done = "", 0

        def show(update: Update) -> None:
            nonlocal stage, done
            if update.note:
                shown = make_printable(update.note)
                bars.console.print(f"{update.stage:>10}  {shown}", highlight=False, markup=False)
                return
            if update.doing:
                stage, done = update.stage, 0
                bars.reset(task, description=update.stage, total=None, visible=True, text=make_printable(update.doing))
                return
            if update.stage != stage or update.done < done:
                bars.reset(task, description=update.stage, total=update.total, visible=True)
            stage, done = update.stage, update.done
            speed = None if bars.tasks[0].speed is None else float(bars.tasks[0].speed)
            text = " ".join([update.unit, *write_facts(update, speed)])
            bars.update(task, completed=update.done, total=update.total, text=make_printable(text))

        yield show


@contextmanager
def show_lines() -> Iterator[Progress]:
    """`PlainLines`, which also tell how long something goes on that sends no updates."""
    lines, ended = PlainLines(), threading.Event()

    def tick() -> None:
        while not ended.wait(TICK_S):
            lines.tick()

    ticker = threading.Thread(target=tick, name="seatrial progress", daemon=True)
    ticker.start()
    try:
        yield lines
    finally:
        ended.set()
        ticker.join()


class PlainLines:
    """A line now and then, for logs and pipes."""

    def __init__(self, clock: Any = time.monotonic) -> None:
        self.clock = clock
        self.stage = self.latest = ""
        self.started = self.shown = self.heard = 0.0
        self.first = self.done = 0
        self.lock = threading.Lock()

    def __call__(self, update: Update) -> None:
        """Show a note at once, counted work with the time that is left where its stage had no line for ten seconds."""
        with self.lock:
            now = self.heard = self.clock()
            if update.note:
                print_line(update.stage, update.note)
                self.latest = self.latest if update.stage == self.stage else ""
                self.shown = now if update.stage == self.stage else self.shown
            elif update.doing:
                self._begin(update, now)
                self.latest = update.doing
            else:
                self._count(update, now)

    def tick(self) -> None:
        """Show how long the latest work has gone on, where nothing was shown for ten seconds."""
        with self.lock:
            now = self.clock()
            if self.latest and now - self.shown >= PLAIN_EVERY_S:
                self.shown = now
                quiet_s = now - self.heard
                print_line(self.stage, self.latest + (f": {write_duration(quiet_s)} so far" if quiet_s >= 1 else ""))

    def _begin(self, update: Update, now: float) -> None:
        self.stage, self.started, self.shown, self.first = update.stage, now, now, update.done
        self.done = update.done

    def _count(self, update: Update, now: float) -> None:
        # Less done than before: another engine begins the same stage.
        if update.stage != self.stage or update.done < self.done:
            self._begin(update, now)
        self.done = update.done
        done, elapsed = update.done - self.first, now - self.started
        rate = done / elapsed if done and elapsed else None
        self.latest = ", ".join([f"{update.done}/{update.total} {update.unit}", *write_facts(update, rate)])
        if update.done >= update.total > 0:
            counted, self.latest = self.latest, ""  # What follows is not this.
        else:
            counted = self.latest
        if now - self.shown < PLAIN_EVERY_S:
            return
        self.shown = now
        left = "" if rate is None else f", {write_duration((update.total - update.done) / rate)} left"
        print_line(update.stage, counted + left)


def write_facts(update: Update, rate: float | None) -> list[str]:
    """The facts of counted work, and its rate where none of them is one."""
    facts = [f"{name} {value}" for name, value in update.facts.items()]
    has_rate = any(name.endswith("/s") for name in update.facts)
    return facts if has_rate or not rate else [*facts, _write_rate(rate, update.unit)]


def _write_rate(rate: float, unit: str) -> str:
    if unit == "bytes":
        return f"{rate / 1e6:.1f} MB/s"
    if rate < 1:
        return f"{write_duration(1 / rate)} each"
    return f"{rate:,.{0 if rate >= 10 else 1}f} {unit.partition(' ')[0]}/s"
