"""The process that keeps one engine open: `python -m seatrial.ui.predict_process ENGINE_FOLDER`.

It takes `ImageJob`s and returns an `EnginePrediction` for each: see `machine.warm_process`.
"""

import base64
import contextlib
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from seatrial.errors import SeatrialError
from seatrial.machine.warm_process import serve_jobs
from seatrial.store.json_text import write_json
from seatrial.strict import Strict
from seatrial.workflow.predict import ClassShare, OpenedEngine

RUNS, RUNS_S = 5, 1.0
"""Timed runs at most, and seconds after which none begins."""


class ImageJob(Strict):
    """An image file."""

    image: str
    """Its bytes, in base64."""
    name: str

    @classmethod
    def of(cls, data: bytes, name: str) -> "ImageJob":
        """The job for a file's bytes."""
        return cls(image=base64.b64encode(data).decode("ascii"), name=name)

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return base64.b64decode(self.image)


class EnginePrediction(Strict):
    """What an engine makes of an image."""

    best: tuple[ClassShare, ...]
    """The best first."""
    prepare_ms: float
    """Decoding and preprocessing on the host."""
    run_ms: float
    """Median of the timed runs, from array to logits."""
    runs: int
    batch_size: int
    """Images of one run; all but the first are copies of it."""
    opened_s: float | None
    """That opening the engine took; None where it was open."""


class Predictor:
    """An engine, and how long it took to open."""

    def __init__(self, folder: Path) -> None:
        began = time.perf_counter()
        self._engine = OpenedEngine(folder)
        self._opened_s: float | None = time.perf_counter() - began

    def predict(self, job: ImageJob) -> EnginePrediction:
        """The five best classes of an image.

        Raises:
            DataError: it is no image, or a damaged one.
            ParityError: a logit is not a number.
        """
        began = time.perf_counter()
        batch = self._engine.prepare(job.data, job.name)
        prepare_ms = 1000 * (time.perf_counter() - began)
        best = self._engine.rank(self._engine.run(batch), job.name)
        times_ms = self._time(batch)
        opened_s, self._opened_s = self._opened_s, None
        return EnginePrediction(
            best=best,
            prepare_ms=prepare_ms,
            run_ms=statistics.median(times_ms),
            runs=len(times_ms),
            batch_size=self._engine.batch_size,
            opened_s=opened_s,
        )

    def _time(self, batch: NDArray[Any]) -> list[float]:
        times_ms: list[float] = []
        while len(times_ms) < RUNS and sum(times_ms) < 1000 * RUNS_S:
            began = time.perf_counter()
            self._engine.run(batch)
            times_ms.append(1000 * (time.perf_counter() - began))
        return times_ms


class _Server:
    """Opens the engine at once; one that cannot be opened is tried again with each job, and is the job's error."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._predictor: Predictor | None = None
        with contextlib.suppress(SeatrialError):
            self._predictor = Predictor(folder)

    def handle(self, fields: Mapping[str, Any]) -> str:
        job = ImageJob.read(fields, "the job")
        if self._predictor is None:
            self._predictor = Predictor(self._folder)
        return write_json(self._predictor.predict(job))


if __name__ == "__main__":
    sys.exit(serve_jobs(lambda: _Server(Path(sys.argv[1])).handle))
