"""Which runs a page of the list shows: those that match, in an order, so many at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.results.find_runs import FoundRun
from seatrial.store.records import WORST_FIRST
from seatrial.ui.run_index import RunIndex, RunRow

PAGE = 50
"""Runs on one page."""
NOT_JUDGED, NOT_READ = "not judged", "not read"
OUTCOMES = (*WORST_FIRST, NOT_JUDGED, NOT_READ)
MOST_CHOICES = 200
"""Models or engines that a list offers to choose from."""


@dataclass(frozen=True, slots=True)
class Order:
    """A column that runs may be ordered by."""

    name: str
    key: Callable[[RunRow], Any]
    """What is compared; None comes last."""
    falls: bool = False
    """Whether the largest comes first unless the other is chosen."""


def _figure(name: str) -> Callable[[RunRow], Any]:
    def key(row: RunRow) -> Any:
        figure = getattr(row, name)
        return None if figure is None else figure.value

    return key


ORDERS: Mapping[str, Order] = {
    "path": Order("Run", lambda row: row.path),
    "outcome": Order("Outcome", lambda row: OUTCOMES.index(name_outcome(row))),
    "model": Order("Model", lambda row: row.model or None),
    "top1": Order("Top-1, % (interval)", _figure("top1"), falls=True),
    "drop": Order("Largest drop, points (interval)", _figure("drop_pp"), falls=True),
    "speed": Order("Best images/s (interval)", _figure("images_per_s"), falls=True),
    "begun": Order("Begun", lambda row: row.begun_ns or None, falls=True),
}
"""By the name that addresses have."""
WITHOUT_FIGURES = ("path", "begun")
"""Orders for which no record is read."""


@dataclass(frozen=True, slots=True)
class RunQuery:
    """What is wanted of the list."""

    words: str = ""
    """All of these, in any letters, in path, model or title."""
    outcome: str = ""
    model: str = ""
    engine: str = ""
    order: str = "begun"
    other_way: bool = False
    """Against the order's own direction."""
    page: int = 1

    @property
    def needs_figures(self) -> bool:
        """Whether every run must be read to know which are shown."""
        filtered = self.words.strip() or self.outcome or self.model or self.engine
        return bool(filtered) or self.order not in WITHOUT_FIGURES


@dataclass(frozen=True, slots=True)
class Selection:
    """One page of the list."""

    rows: tuple[RunRow, ...]
    unread: frozenset[str]
    """Paths among these that are being read."""
    matching: int
    total: int
    page: int
    pages: int
    waiting: int
    """Runs that are still being read, so that whether they belong here, and where, is not known yet."""


def name_outcome(row: RunRow) -> str:
    """The outcome of a run, in a word."""
    return NOT_READ if row.reason else row.outcome or NOT_JUDGED


def select_runs(index: RunIndex, found: Sequence[FoundRun], query: RunQuery) -> Selection:
    """The runs that match, in order; no more of them are read than that takes."""
    if query.needs_figures:
        known = index.read_within(found)
        rows = [row for row in known.values() if _matches(row, query)]
    else:
        known = {}
        rows = [RunRow(run.path, run.begun_ns, reason=run.reason) for run in found]
    rows = _sort(rows, query)
    pages = max(1, -(-len(rows) // PAGE))
    page = min(max(1, query.page), pages)
    shown = rows[(page - 1) * PAGE : page * PAGE]
    unread = frozenset[str]()
    if not query.needs_figures:
        by_path = {run.path: run for run in found}
        read = index.read_within([by_path[row.path] for row in shown])
        unread = frozenset(row.path for row in shown if row.path not in read)
        shown = [read.get(row.path, row) for row in shown]
    shown = [index.check(row) for row in shown]
    waiting = len(found) - len(known) if query.needs_figures else 0
    return Selection(tuple(shown), unread, len(rows), len(found), page, pages, waiting)


def _matches(row: RunRow, query: RunQuery) -> bool:
    text = f"{row.path}\n{row.model}\n{row.title}".lower()
    return (
        all(word in text for word in query.words.lower().split())
        and query.outcome in ("", name_outcome(row))
        and query.model in ("", row.model)
        and (not query.engine or query.engine in row.engines)
    )


def _sort(rows: Sequence[RunRow], query: RunQuery) -> list[RunRow]:
    """The rows in order, those without the figure last; equal ones by their paths."""
    order = ORDERS[query.order]
    rows = sorted(rows, key=lambda row: row.path)
    keyed = [(order.key(row), row) for row in rows]
    there = [pair for pair in keyed if pair[0] is not None]
    there.sort(key=lambda pair: pair[0], reverse=order.falls != query.other_way)
    return [row for _, row in there] + [row for key, row in keyed if key is None]
