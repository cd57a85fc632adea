"""The process that keeps one engine open: `python -m seatrial.ui.predict_process ENGINE_FOLDER`.

It takes `ImageJob`s and returns a `Prediction` for each: see `machine.warm_process`.
"""

import base64
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.data.preprocessing.input_pipeline import read_pipeline, to_input
from seatrial.engines import get_engine
from seatrial.engines.base import read_engine, run_padded
from seatrial.engines.self_test import check_self_test
from seatrial.errors import RefusedFile
from seatrial.evaluation.parity import check_finite
from seatrial.machine.warm_process import serve_jobs
from seatrial.metrics.calibration import are_distributions, log_sum_exp
from seatrial.metrics.topk import K, rank_top
from seatrial.recipes.class_names import read_names, show_class
from seatrial.strict import Strict

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


class ClassShare(Strict):
    """One of the best classes."""

    number: int
    shown: str
    """Number and name."""
    share: float
    """Confidence, 0..1: of the softmax, or as the network gives it."""


class Prediction(Strict):
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
    """An engine, opened with the first image."""

    def __init__(self, folder: Path) -> None:
        self._file = read_engine(folder)
        graph = self._file.manifest.graph
        self._pipeline = read_pipeline(graph)
        if graph.preprocess_hash != self._pipeline.hash:
            raise RefusedFile(f"{folder} was built for another preprocessing", "export and compile it again")
        sizes = [model.batch_size for model in self._file.manifest.files]
        self._batch_size = 1 if None in sizes else min(size for size in sizes if size is not None)
        began = time.perf_counter()
        engine = get_engine(self._file.manifest.engine)
        self._session = engine.open(self._file, self._file.manifest.device, self._batch_size)
        self._session.__enter__()
        check_self_test(self._session, self._file, self._batch_size)
        self._opened_s: float | None = time.perf_counter() - began

    def predict(self, job: ImageJob) -> Prediction:
        """The five best classes of an image.

        Raises:
            DataError: it is no image, or a damaged one.
            ParityError: a logit is not a number.
        """
        began = time.perf_counter()
        rows = self._pipeline.decode(job.data, job.name)[None]
        batch = to_input(rows, self._file.manifest.input, self._pipeline)
        prepare_ms = 1000 * (time.perf_counter() - began)
        logits = run_padded(self._session, batch)
        check_finite(logits, [job.name])
        times_ms = self._time(batch)
        opened_s, self._opened_s = self._opened_s, None
        return Prediction(
            best=tuple(self._rank(logits)),
            prepare_ms=prepare_ms,
            run_ms=statistics.median(times_ms),
            runs=len(times_ms),
            batch_size=self._batch_size,
            opened_s=opened_s,
        )

    def _time(self, batch: NDArray[Any]) -> list[float]:
        times_ms: list[float] = []
        while len(times_ms) < RUNS and sum(times_ms) < 1000 * RUNS_S:
            began = time.perf_counter()
            run_padded(self._session, batch)
            times_ms.append(1000 * (time.perf_counter() - began))
        return times_ms

    def _rank(self, logits: NDArray[np.float32]) -> list[ClassShare]:
        names = read_names(self._pipeline.recipe) or ()
        classes, best = rank_top(logits, K)
        shares = best[0] if are_distributions(logits)[0] else np.exp(best[0] - log_sum_exp(logits)[0])
        pairs = zip(classes[0].tolist(), shares.tolist(), strict=True)
        return [ClassShare(number=n, shown=show_class(names, n), share=float(share)) for n, share in pairs]


class _Server:
    """Opens the engine when there is a job, so that what is wrong with it is the job's error."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._predictor: Predictor | None = None

    def handle(self, fields: Mapping[str, Any]) -> str:
        job = ImageJob.read(fields, "the job")
        if self._predictor is None:
            self._predictor = Predictor(self._folder)
        return self._predictor.predict(job).model_dump_json()


if __name__ == "__main__":
    sys.exit(serve_jobs(_Server(Path(sys.argv[1])).handle))
