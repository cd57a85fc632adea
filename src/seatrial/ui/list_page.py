"""The first page: every run, filtered, ordered and a page at a time."""

import datetime
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from seatrial.machine.file_locks import is_locked, read_locks
from seatrial.report.numbers import count_of, write_figures, write_percent, write_points
from seatrial.report.tables import NOTHING
from seatrial.store.command_line import write_words
from seatrial.store.records import NO_LABELS
from seatrial.ui.folders import make_address
from seatrial.ui.pages import get_query, render
from seatrial.ui.run_index import EngineFigure, RunRow, find_running
from seatrial.ui.select_runs import MOST_CHOICES, ORDERS, OUTCOMES, RunQuery, Selection, name_outcome, select_runs
from seatrial.ui.site import Site, get_site
from seatrial.ui.work import find_work


def show_list(request: Request) -> Response:
    """The list of runs."""
    site, given = get_site(request), get_query(request)
    query = read_run_query(given)
    found, at_work = site.index.find()
    selection = select_runs(site.index, found, query)
    running = find_running(site.root, found)
    beside = given.get("beside", "")
    return render(
        "list",
        site=site,
        query=query,
        beside=beside,
        selection=selection,
        total=count_of(selection.total, "run"),
        columns=[_head(name, query, beside) for name in ORDERS],
        rows=[list_cells(row, row.path in selection.unread, row.path in running) for row in selection.rows],
        running=sorted(running),
        at_work=list(list_work(site.root, at_work)),
        orders=[(name, order.name.partition(" (")[0].partition(",")[0]) for name, order in ORDERS.items()],
        outcomes=OUTCOMES,
        choices=site.index.list_choices(MOST_CHOICES),
        pages=_list_pages(query, selection, beside),
        command=" ".join(write_example(site)),
    )


def list_work(root: Path, folders: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Folders outside of runs with unfinished work in them, and what it is."""
    locks = read_locks()
    for path in sorted(folders):
        works = list(find_work(root / path))
        kinds = sorted({f"{work.kind}{'' if is_locked(work.lock, locks) else ', not finished'}" for work in works})
        if kinds:
            yield path, "; ".join(kinds)


def read_run_query(given: dict[str, str]) -> RunQuery:
    """What an address wants of the list; what makes no sense is as if it were not there."""
    page = given.get("page", "")
    return RunQuery(
        words=given.get("words", "")[:200],
        outcome=given.get("outcome", "") if given.get("outcome") in OUTCOMES else "",
        model=given.get("model", ""),
        engine=given.get("engine", ""),
        order=given.get("order", "") if given.get("order") in ORDERS else "begun",
        other_way=given.get("way") == "other",
        page=int(page) if page.isdecimal() and len(page) < 9 else 1,
    )


def write_address(query: RunQuery, beside: str = "", **changes: object) -> str:
    """The address of the list for a query, with some of it changed."""
    given: dict[str, object] = {
        "words": query.words,
        "outcome": query.outcome,
        "model": query.model,
        "engine": query.engine,
        "order": query.order,
        "way": "other" if query.other_way else "",
        "page": query.page,
        "beside": beside,
    }
    return make_address("/", **given | changes)


def write_example(site: Site) -> list[str]:
    """The words of a command that makes a run here."""
    output = Path(site.shown_root) / "NAME"
    return write_words("run", "MODEL", checkpoint="WEIGHTS.pth", images="IMAGES", labels="LABELS.txt", output=output)


def _head(name: str, query: RunQuery, beside: str) -> dict[str, str]:
    """A column's heading: its words, the address that orders by it, and how it is ordered now."""
    order, chosen = ORDERS[name], query.order == name
    falls = order.falls != query.other_way
    return {
        "words": order.name,
        "address": write_address(
            query, beside, order=name, way="other" if chosen and not query.other_way else "", page=1
        ),
        "ordered": ("descending" if falls else "ascending") if chosen else "",
        "kind": "number" if name in ("top1", "drop", "speed") else "text",
    }


def _list_pages(query: RunQuery, selection: Selection, beside: str) -> Iterator[tuple[str, str]]:
    """Words and addresses of the other pages worth a link."""
    here, last = selection.page, selection.pages
    if here > 1:
        yield "first", write_address(query, beside, page=1)
        yield "previous", write_address(query, beside, page=here - 1)
    if here < last:
        yield "next", write_address(query, beside, page=here + 1)
        yield "last", write_address(query, beside, page=last)


def list_cells(row: RunRow, is_unread: bool, is_running: bool) -> dict[str, object]:
    """A run's row, in words."""
    begun = datetime.datetime.fromtimestamp(row.begun_ns / 1e9).strftime("%Y-%m-%d %H:%M") if row.begun_ns else NOTHING
    return {
        "path": row.path,
        "title": row.title,
        "model": row.model or NOTHING,
        "outcome": "being read" if is_unread else name_outcome(row),
        "engines": ", ".join(row.engines),
        "figures": (
            ("Top-1, %", *_write(row.top1, write_percent, NOTHING if row.has_labels else NO_LABELS), ""),
            ("Largest drop", *_write(row.drop_pp, write_points), _name_engine(row.drop_pp, len(row.engines) > 2)),
            ("Best images/s", *_write(row.images_per_s, write_figures), _name_engine(row.images_per_s)),
        ),
        "begun": begun,
        "reason": row.reason,
        "is_running": is_running,
    }


def _write(figure: EngineFigure | None, write: Callable[[float], str], absent: str = NOTHING) -> tuple[str, str]:
    """A figure and its interval."""
    if figure is None:
        return absent, ""
    if figure.low is None or figure.high is None:
        return write(figure.value), ""
    return write(figure.value), f"({write(figure.low)} to {write(figure.high)})"


def _name_engine(figure: EngineFigure | None, is_one_of_several: bool = True) -> str:
    return figure.engine if figure is not None and is_one_of_several else ""
