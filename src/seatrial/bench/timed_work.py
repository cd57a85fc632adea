"""The work of one timed run, in each of the three scopes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.bench.inputs import choose_rows
from seatrial.closing import Pool
from seatrial.data.images import LabelledImage
from seatrial.data.loading.batches import fill_row
from seatrial.data.preprocessing.input_pipeline import InputPipeline, to_input
from seatrial.engines.base import DeviceTimed, Session, StageTimes, pad_batch, run_padded
from seatrial.errors import UsageError
from seatrial.metrics.topk import rank_top
from seatrial.store.records import TensorSpec

TimedOutput = tuple[NDArray[np.float32], StageTimes | None]
"""Logits, and the device's own times, where it measures them."""
RunBatch = Callable[[NDArray[Any]], TimedOutput]
"""Runs one batch in the engine."""


@dataclass(frozen=True, slots=True)
class TimedWork:
    """Inputs that are rotated, and the run of one."""

    inputs: int
    run: Callable[[int], TimedOutput]
    """Takes the number of an input; safe to call from as many threads as there are streams."""


def make_run_batch(session: Session, engine: str, on_device: bool) -> RunBatch:
    """How a batch is run: with the device's own times, or without.

    Raises:
        UsageError: the engine does not measure them.
    """
    if not on_device:
        return lambda batch: (run_padded(session, batch), None)
    if not isinstance(session, DeviceTimed):
        raise UsageError(
            f"{engine} does not measure device time on this device",
            "scope device needs tensorrt, ascend, or torch on cuda:N or npu:N; measure --scope host here",
        )
    timed = session

    def run_batch(batch: NDArray[Any]) -> TimedOutput:
        logits, times = timed.run_timed(pad_batch(batch, session.input.shape[0]))
        return logits[: len(batch)], times

    return run_batch


class FileWork:
    """Scope e2e: image files to top-k. One batch is decoded by all cores at a time, then run, then ranked.

    With one stream nothing overlaps, so a sample is the time that one batch takes; with several, one batch is decoded
    while another runs, as in `seatrial evaluate`.
    """

    def __init__(
        self, run_batch: RunBatch, files: Sequence[Path], spec: TensorSpec, pipeline: InputPipeline, decode_workers: int
    ) -> None:
        self._run_batch, self._spec, self._pipeline = run_batch, spec, pipeline
        self._images = [LabelledImage(path.name, path, -1) for path in files]
        self._pool = ThreadPoolExecutor(decode_workers, thread_name_prefix="decode")
        self._buffers: Pool[NDArray[np.uint8]] = Pool()

    def rotate(self, batch_size: int, streams: int) -> TimedWork:
        """Batches of files, every file once before any again; at least two batches for each stream."""
        for _ in range(streams):
            self._buffers.put(np.empty((batch_size, *self._pipeline.shape), dtype=np.uint8))
        count = max(2 * streams, -(-len(self._images) // batch_size))
        chosen = choose_rows(len(self._images), count, batch_size)
        return TimedWork(count, lambda index: self._run([self._images[i] for i in chosen[index]]))

    def _run(self, images: Sequence[LabelledImage]) -> TimedOutput:
        with self._buffers.borrow() as buffer:
            for _ in self._pool.map(lambda row: fill_row(buffer[row], images[row], self._pipeline), range(len(images))):
                pass
            logits, times = self._run_batch(to_input(buffer, self._spec, self._pipeline))
        rank_top(logits)
        return logits, times

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)
