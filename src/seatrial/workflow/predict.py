"""Single images through an engine that stays open."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.closing import Closing
from seatrial.data.preprocessing.input_pipeline import read_pipeline, to_input
from seatrial.engines import get_engine
from seatrial.engines.base import MANIFEST, read_engine, run_padded
from seatrial.engines.self_test import check_self_test
from seatrial.errors import RefusedFile, UsageError, cannot_read
from seatrial.evaluation.parity import check_finite
from seatrial.foreign.files import read_bytes
from seatrial.metrics.calibration import are_distributions, log_sum_exp
from seatrial.metrics.topk import K, rank_top
from seatrial.recipes.class_names import read_names, show_class
from seatrial.store.records import RunManifest
from seatrial.strict import Strict, check_name


class ClassShare(Strict):
    """One of the best classes."""

    number: int
    shown: str
    """Number and name."""
    share: float
    """Confidence, 0..1: of the softmax, or as the network gives it."""


def find_engine(folder: Path, name: str | None = None) -> Path:
    """The folder of an engine of a run, None its reference; an engine folder is its own.

    Raises:
        UsageError: `folder` is neither, or the run has no such engine.
    """
    if (folder / MANIFEST).is_file():
        if name not in (None, folder.name):
            raise UsageError(f"{folder} is one engine, and '{name}' another", "give a run folder, or leave it out")
        return folder
    if not (folder / "run.json").is_file():
        raise UsageError(f"{folder} is neither a run nor an engine folder", "`seatrial run` makes one")
    engines = RunManifest.load(folder / "run.json").engines
    chosen = engines[0] if name is None else name
    check_name(chosen, engines, f"{folder} has no engine '{chosen}'")
    return folder / "engines" / chosen


class OpenedEngine(Closing):
    """An engine that takes an image at a time."""

    def __init__(self, folder: Path) -> None:
        """Open the engine in a folder.

        Raises:
            UsageError: it is no engine folder.
            RefusedFile: a file of it was altered, or it was built for another preprocessing.
            EngineError: it cannot be opened here.
        """
        self._file = read_engine(folder)
        graph = self._file.manifest.graph
        self._pipeline = read_pipeline(graph)
        if graph.preprocess_hash != self._pipeline.hash:
            raise RefusedFile(f"{folder} was built for another preprocessing", "export and compile it again")
        sizes = [model.batch_size for model in self._file.manifest.files]
        self.batch_size = 1 if None in sizes else min(size for size in sizes if size is not None)
        """Images of one run; all but the first are copies of it."""
        engine = get_engine(self._file.manifest.engine)
        self._session = engine.open(self._file, self._file.manifest.device, self.batch_size)
        self._session.__enter__()
        check_self_test(self._session, self._file, self.batch_size)

    def close(self) -> None:
        """Close the engine."""
        self._session.close()

    def prepare(self, data: bytes, name: str) -> NDArray[Any]:
        """An image file's bytes as a batch of one.

        Raises:
            DataError: it is no image, or a damaged one.
        """
        return to_input(self._pipeline.decode(data, name)[None], self._file.manifest.input, self._pipeline)

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (1, classes) of a prepared image."""
        return run_padded(self._session, batch)

    def rank(self, logits: NDArray[np.float32], name: str) -> tuple[ClassShare, ...]:
        """The five best classes.

        Raises:
            ParityError: a logit is not a number.
        """
        check_finite(logits, [name])
        names = read_names(self._pipeline.recipe) or ()
        classes, best = rank_top(logits, K)
        shares = best[0] if are_distributions(logits)[0] else np.exp(best[0] - log_sum_exp(logits)[0])
        pairs = zip(classes[0].tolist(), shares.tolist(), strict=True)
        return tuple(ClassShare(number=n, shown=show_class(names, n), share=float(share)) for n, share in pairs)

    def predict_file(self, path: Path) -> tuple[ClassShare, ...]:
        """The five best classes of an image file.

        Raises:
            DataError: it cannot be read, is no image, or a damaged one.
            ParityError: a logit is not a number.
        """
        try:
            data = read_bytes(path)
        except OSError as error:
            raise cannot_read(str(path), error) from None
        return self.rank(self.run(self.prepare(data, path.name)), path.name)
