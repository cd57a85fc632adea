"""What one `seatrial ui` serves, and what it keeps in memory."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from starlette.requests import Request

from seatrial.report.html import write_html
from seatrial.results.run_folder import read_run
from seatrial.ui.engine_processes import EngineProcesses
from seatrial.ui.run_index import RunIndex, list_files

KEPT = 8
"""Reports in memory."""


class ReportStore:
    """The last reports, each with what its run's folder had in it.

    Not the report.html in the folder: that may be of other records than those beside it. Nothing is written.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, tuple[object, str]] = OrderedDict()
        self._lock = threading.Lock()

    def write(self, folder: Path, links: Sequence[tuple[str, str]]) -> str:
        """The report of a run folder as it is now, under links to other pages.

        Raises:
            SeatrialError: as `results.run_folder.read_run`.
        """
        # One at a time: what draws the charts is not made for several.
        with self._lock:
            there = tuple(list_files(str(folder)))
            kept = self._kept.pop(folder, None)
            text = kept[1] if kept is not None and kept[0] == there else write_html(read_run(folder), links)
            self._kept[folder] = there, text
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return text


@dataclass(frozen=True, slots=True)
class Site:
    """Folder, memory and processes of one server."""

    root: Path
    """The folder of runs, resolved."""
    shown_root: str
    """As the user gave it, for commands to copy."""
    index: RunIndex
    reports: ReportStore = field(default_factory=ReportStore)
    engines: EngineProcesses = field(default_factory=EngineProcesses)
    stopping: Event = field(default_factory=Event)
    """Set when the server is to end, so that answers which go on and on do."""

    def close(self) -> None:
        """End what works in the background."""
        self.stopping.set()
        self.index.close()
        self.engines.close()


def open_site(folder: Path) -> Site:
    """The site of a folder of runs."""
    root = folder.resolve()
    return Site(root, str(folder), RunIndex(root))


def get_site(request: Request) -> Site:
    """The site that a request is to."""
    site: Site = request.app.state.site
    return site
