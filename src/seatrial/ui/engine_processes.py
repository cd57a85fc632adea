"""Processes that keep the engines of a run open between images, one for each, and one that draws the steps."""

import threading
from collections.abc import Sequence
from pathlib import Path

from seatrial.closing import Closing
from seatrial.engines.base import MANIFEST
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
IDLE_S = 600.0
"""Seconds after which processes that nobody used are ended, and give their memory back."""


class EngineProcesses(Closing):
    """The processes of the run that was used last; those of another are ended before."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, object], WarmProcess] = {}
        self._run: Path | None = None
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
        key = (" ".join([*command, str(folder)]), (status.st_mtime_ns, status.st_ino))
        with self._lock:
            self._arm()
            if run != self._run:
                self._end_all()
            self._run = run
            known = self._running.get(key)
            if known is not None and known.is_alive:
                return known
            for other in [other for other in self._running if other[0] == key[0]]:
                self._running.pop(other).close()
            self._running[key] = WarmProcess([*command, str(folder)], what, on_cpu)
            return self._running[key]

    def _arm(self) -> None:
        """Count anew how long nobody used them."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(IDLE_S, self.close)
        self._timer.daemon = True
        self._timer.start()

    def _end_all(self) -> None:
        while self._running:
            self._running.popitem()[1].close()

    def close(self) -> None:
        """End every process."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._end_all()
