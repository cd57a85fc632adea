"""Images through an opened engine at the engine's own speed: decoding, running and ranking overlap, memory is bounded.

Batches are decoded by one set of threads into a few buffers that are reused, and run by another, each of which keeps
one batch inside the engine. Whoever is behind is waited for, so no queue grows.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import LabelledImage
from seatrial.data.loading.batches import fill_row
from seatrial.data.loading.decode_pool import DecodePool, Filled, fill_rows
from seatrial.data.preprocessing.input_pipeline import InputPipeline, to_input
from seatrial.engines.base import Session, run_padded
from seatrial.errors import DataError
from seatrial.evaluation.parity import check_finite, check_logits
from seatrial.metrics.calibration import are_distributions, log_sum_exp
from seatrial.metrics.topk import rank_top


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """Batch size, and how many threads decode and run at a time."""

    batch_size: int = 16
    """For an engine that takes any; one that is fixed to another takes its own."""
    decode_workers: int = 1
    """Threads, or processes if many."""
    streams: int = 1
    """Batches inside the engine."""
    keep_logits: bool = False
    coarse: bool = False
    """The engine rounds its logits, so that some may be alike by chance: `metrics.noise_floor.is_coarse`."""


@dataclass(frozen=True, slots=True)
class PredictionBatch:
    """Predictions for one batch of n images."""

    indices: NDArray[np.int64]
    """(n,), of the images that could be read."""
    classes: NDArray[np.int32]
    """(n, k), best first."""
    scores: NDArray[np.float32]
    """(n, k), the logits of `classes`."""
    log_denominators: NDArray[np.float32]
    """(n,), `metrics.calibration.log_sum_exp` of all logits."""
    distributions: NDArray[np.bool_]
    """(n,), `metrics.calibration.are_distributions` of them."""
    digests: NDArray[np.uint64]
    """(n,), what identifies all logits of an image."""
    contents: NDArray[np.uint64]
    """(n,), what identifies the image's bytes: `data.loading.batches.fill_row`."""
    logits: NDArray[np.float32] | None = None
    """(n, classes) if they are kept."""
    width: int = 0
    """Classes of the engine."""
    bad: Mapping[int, str] | None = None
    """Why an image could not be read, by index."""
    notes: Mapping[int, str] | None = None
    """What was noted of an image file, by index."""
    decode_s: float = 0.0
    """Time of the worker that read them."""
    run_s: float = 0.0
    """Time inside the engine."""
    machine: str = ""
    """That ran it (`machine.environment.name_machine`), if it was another process."""


def stream_predictions(
    session: Session,
    images: Sequence[LabelledImage],
    pipeline: InputPipeline,
    todo: NDArray[np.int64],
    plan: StreamPlan,
) -> Iterator[PredictionBatch]:
    """Run the images whose indices are in `todo`; batches come in the order in which they finish.

    A session that takes uint8 images has the preprocessing tail in its graph; for others it is computed here.

    Raises:
        ParityError: a logit is not a number, or all classes of an image have the same.
    """
    size = session.input.shape[0] or plan.batch_size
    batches = (todo[i : i + size] for i in range(0, len(todo), size))
    shape, dtype = row_form(images, pipeline)
    slots = plan.decode_workers + plan.streams + 1
    done: SimpleQueue[tuple[int, PredictionBatch | BaseException]] = SimpleQueue()
    # Runners read the buffers, so they end first.
    with (
        DecodePool(partial(fill_row, pipeline=pipeline), (size, *shape), dtype, slots, plan.decode_workers) as decoders,
        ThreadPoolExecutor(plan.streams, thread_name_prefix="run") as runners,
    ):
        line = _Line(session, images, pipeline, plan, decoders, runners, done)
        busy = sum(line.start(slot, next(batches, None)) for slot in range(slots))
        try:
            while busy:
                slot, result = done.get()
                if isinstance(result, BaseException):
                    raise result
                busy += line.start(slot, next(batches, None)) - 1
                yield result
        finally:
            decoders.stop()
            runners.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Line:
    """One batch's way from files to predictions."""

    session: Session
    images: Sequence[LabelledImage]
    pipeline: InputPipeline
    plan: StreamPlan
    decoders: DecodePool[LabelledImage]
    runners: ThreadPoolExecutor
    done: "SimpleQueue[tuple[int, PredictionBatch | BaseException]]"

    def start(self, slot: int, indices: NDArray[np.int64] | None) -> bool:
        """Begin with a batch in a slot; False when there is none left."""
        if indices is None:
            return False
        filling = self.decoders.fill(slot, [self.images[i] for i in indices])
        filling.add_done_callback(lambda filled: self._pass_on(slot, indices, filled))
        return True

    def _pass_on(self, slot: int, indices: NDArray[np.int64], filled: "Future[Filled]") -> None:
        if filled.cancelled():
            return
        try:
            self.runners.submit(self._run, slot, indices, filled.result())
        except BrokenProcessPool:
            fix = "memory may have run out: run it again with fewer --workers; finished predictions are kept"
            self.done.put((slot, DataError("a process that decoded images was killed", fix)))
        except BaseException as error:
            self.done.put((slot, error))

    def _run(self, slot: int, indices: NDArray[np.int64], filled: Filled) -> None:
        try:
            self.done.put((slot, self._predict(self.decoders.buffers[slot][: len(indices)], indices, filled)))
        except BaseException as error:
            self.done.put((slot, error))

    def _predict(self, rows: NDArray[Any], indices: NDArray[np.int64], filled: Filled) -> PredictionBatch:
        bad = {int(indices[row]): why for row, why in filled.bad.items()}
        good = np.array([row for row in range(len(indices)) if row not in filled.bad], dtype=np.int64)
        start = time.perf_counter()
        logits = run_padded(self.session, to_input(rows, self.session.input, self.pipeline))[good]
        run_s = time.perf_counter() - start
        # Whether so many scores are equal by chance is only seen of the whole set: `pipeline.check_variety`.
        check = check_finite if self.plan.coarse else check_logits
        check(logits, [self.images[i].id for i in indices[good]])
        classes, scores = rank_top(logits)
        return PredictionBatch(
            indices=indices[good],
            classes=classes,
            scores=scores,
            log_denominators=log_sum_exp(logits).astype(np.float32),
            distributions=are_distributions(logits),
            digests=np.array([digest_row(row) for row in logits], dtype=np.uint64),
            contents=np.array([filled.read[row].content for row in good.tolist()], dtype=np.uint64),
            logits=logits if self.plan.keep_logits else None,
            width=logits.shape[1],
            bad=bad,
            notes={int(indices[row]): image.note for row, image in filled.read.items() if image.note is not None},
            decode_s=filled.seconds,
            run_s=run_s,
        )


def digest_row(logits: NDArray[np.float32]) -> int:
    """64 bits that identify one image's logits (classes,)."""
    return int.from_bytes(hashlib.blake2b(logits.tobytes(), digest_size=8).digest())


def row_form(images: Sequence[LabelledImage], pipeline: InputPipeline) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of one image before the engine."""
    prepared = images[0].prepared
    return (pipeline.shape, "uint8") if prepared is None else (prepared.shape, prepared.dtype)


def read_rows(images: Sequence[LabelledImage], pipeline: InputPipeline) -> tuple[NDArray[Any], dict[int, str]]:
    """A few images before the engine, (n, *shape), and why some cannot be read, by row; these are all 0."""
    shape, dtype = row_form(images, pipeline)
    rows = np.empty((len(images), *shape), dtype)
    return rows, fill_rows(rows, images, partial(fill_row, pipeline=pipeline)).bad
