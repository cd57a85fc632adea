"""Processes that keep the engines of a few runs open between images: for each run one an engine, and one that draws."""

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

from seatrial.closing import Closing
from seatrial.engines.base import MANIFEST
from seatrial.errors import EngineError
from seatrial.machine.isolated_process import PYTHON
from seatrial.machine.warm_process import WarmProcess
from seatrial.store.records import EngineManifest
from seatrial.ui.pictures_process import Pictures
from seatrial.ui.predict_process import EnginePrediction, ImageJob

PREDICT: Sequence[str] = (*PYTHON, "seatrial.ui.predict_process")
DRAW: Sequence[str] = (*PYTHON, "seatrial.ui.pictures_process")
DRAWS = "the process that draws the steps"
FIRST_S, NEXT_S = 180.0, 60.0
"""Seconds for the first image, with opening the engine, and for each one after it."""
MOST_RUNS = 3
"""Runs whose engines stay open at a time."""
FREE_SHARE = 1 / 3
"""Of the machine's memory; where less is free, another run's engines are ended before this one's are opened."""
IDLE_S = 600.0
"""Seconds after which processes that nobody used are ended, and give their memory back."""


class EngineProcesses(Closing):
    """The processes of the runs that were used last; those of others give way while they have nothing to do."""

    def __init__(self) -> None:
        self._running: dict[tuple[Path, str, object], WarmProcess] = {}
        """By run folder, command, and what tells the engine folder as it is from what it was."""
        self._used: list[Path] = []
        """Run folders, that of the last use at the end."""
        self._on_accelerator: set[Path] = set()
        """Run folders with an engine whose memory is not the machine's."""
        self._closed = False
        self._lock = threading.Lock()
        self._one_engine = threading.Lock()
        """One engine runs at a time, so that they do not slow each other down."""
        self._timer: threading.Timer | None = None

    def prepare(self, run: Path, names: Sequence[str]) -> None:
        """Start the processes for the engines of these names in a run folder; they open their engines by themselves."""
        for name in names:
            self._find_engine(run, name)
        self._find(run, run / "engines" / names[0], DRAW, DRAWS)

    def predict(self, run: Path, name: str, job: ImageJob) -> EnginePrediction:
        """What the engine of that name in a run folder makes of an image.

        Raises:
            SeatrialError: the engine cannot be opened, the image cannot be read, or the process ended.
        """
        with self._one_engine:
            process = self._find_engine(run, name)
            return process.call(job, EnginePrediction, NEXT_S if process.done else FIRST_S)

    def draw(self, run: Path, name: str, job: ImageJob) -> Pictures:
        """What preprocessing makes of an image for the engine of that name.

        Raises:
            SeatrialError: the image cannot be read, or the process ended.
        """
        folder = run / "engines" / name
        EngineManifest.load(folder / MANIFEST)
        process = self._find(run, folder, DRAW, DRAWS)
        return process.call(job, Pictures, NEXT_S if process.done else FIRST_S)

    def _find_engine(self, run: Path, name: str) -> WarmProcess:
        folder = run / "engines" / name
        device = EngineManifest.load(folder / MANIFEST).device
        return self._find(run, folder, PREDICT, f"the process of engine {name}", device == "cpu")

    def _find(self, run: Path, folder: Path, command: Sequence[str], what: str, on_cpu: bool = True) -> WarmProcess:
        """The process for an engine folder as it is now, started where there is none."""
        status = (folder / MANIFEST).stat()
        key = (run, " ".join([*command, str(folder)]), (status.st_mtime_ns, status.st_ino))
        with self._lock:
            if self._closed:
                raise EngineError("this page has been closed", "start it again with `seatrial ui`")
            self._arm()
            self._used = [*(other for other in self._used if other != run), run]
            known = self._running.get(key)
            if known is not None and known.is_alive:
                return known
            self._end([other for other in self._running if other[:2] == key[:2]])
            self._make_room(run, on_cpu)
            self._running[key] = WarmProcess([*command, str(folder)], what, on_cpu)
            return self._running[key]

    def _make_room(self, run: Path, on_cpu: bool) -> None:
        """End the processes of other runs, the least recently used first, until there is room for a new one."""
        if not on_cpu:
            self._on_accelerator.add(run)
        for other in self._used[:-1]:
            crowded = len(self._used) > MOST_RUNS or not has_room() or (not on_cpu and other in self._on_accelerator)
            keys = [key for key in self._running if key[0] == other]
            # Whoever waits for an image gets it.
            if crowded and not any(self._running[key].is_busy for key in keys):
                self._end(keys)
                self._used.remove(other)
                self._on_accelerator.discard(other)

    def _arm(self) -> None:
        """Count anew how long nobody used them."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(IDLE_S, self._end_idle)
        self._timer.daemon = True
        self._timer.start()

    def _end(self, keys: Iterable[tuple[Path, str, object]]) -> None:
        for key in list(keys):
            self._running.pop(key).close()

    def _end_idle(self) -> None:
        with self._lock:
            self._end(self._running)
            self._used.clear()
            self._on_accelerator.clear()

    def close(self) -> None:
        """End every process, whatever it does; none is started again."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            self._end(self._running)


def has_room() -> bool:
    """Whether enough of the machine's memory is free to keep another run's engines open."""
    memory = psutil.virtual_memory()
    return memory.available > FREE_SHARE * memory.total
