"""Files through an engine, batch after batch: read ahead, run, checked, and each file's logits stored."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.data.loading.prefetch import load_ahead
from seatrial.engines.base import DeviceTimed, Session, run_padded
from seatrial.evaluation.batch_dependence import compare_batches
from seatrial.evaluation.guide_format import Course, Performance
from seatrial.evaluation.parity import Variety, check_finite, check_logits
from seatrial.metrics.topk import rank_top
from seatrial.progress import Progress, Update
from seatrial.store.records import TensorSpec

Store = Callable[[Path, NDArray[np.float32]], None]
"""Stores a file's logits, (images, classes)."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """Files to feed, each of as many images."""

    files: Sequence[Path]
    images: int
    """Number of images in each file."""
    input: TensorSpec
    read: Callable[[Path, NDArray[Any]], None]
    """Fills its part of a batch, (images, …), with a file."""
    read_workers: int = 2
    """Threads that read ahead."""
    synthetic: bool = False
    """Made for the time alone: of its logits nothing is known but that they must be numbers."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often batches are executed."""

    batch_size: int
    """Every batch is full: the last one repeats its first file."""
    loop: int = 1
    warmup: int = 1
    """Executions of the first batch that do not count."""


def run_source(
    session: Session, source: FileSource, repeats: Repeats, store: Store, progress: Progress, coarse: bool = False
) -> tuple[Performance, Course]:
    """Run every file and hand its logits to `store`, in order; a few batches are in memory at a time, never the set.

    Args:
        coarse: the engine rounds its logits, so that a few may be alike by chance: `metrics.noise_floor.is_coarse`.

    Raises:
        DataError: a file is not what the engine takes.
        ParityError: a logit is not a number, or all are the same; names the file.
    """
    load = partial(load_full, source, repeats.batch_size)
    chunks = partial(_cut, source.files, repeats.batch_size // source.images)
    for batch in itertools.repeat(load(next(chunks())), repeats.warmup):
        session.run(batch)
    performance, checks = Performance(repeats.batch_size), _Checks(source, coarse)
    done = batches = 0
    start = time.perf_counter()
    with closing(load_ahead(chunks(), load, source.read_workers)) as loaded:
        for chunk, batch in zip(chunks(), loaded, strict=True):
            read = time.perf_counter()
            for _ in range(repeats.loop):
                logits = run_timed(session, batch, performance)
            ran = time.perf_counter()
            count = len(chunk) * source.images
            checks.see(chunk, batch[:count], logits[:count])
            for path, rows in zip(chunk, np.split(logits[:count], len(chunk)), strict=True):
                store(path, rows)
            stored = time.perf_counter()
            done, batches = done + len(chunk), batches + 1
            rate = done * source.images / (stored - start)
            progress(Update("infer", done, len(source.files), "files", {"images/s": f"{rate:.0f}"}))
    checks.finish()
    return performance, Course(done * source.images, batches, read - start, ran - start, stored - start)


def run_timed(session: Session, batch: NDArray[Any], performance: Performance) -> NDArray[np.float32]:
    """Logits of one batch; the time of its execution, by the session's clock or by the host's, joins `performance`."""
    start = time.perf_counter()
    if not isinstance(session, DeviceTimed):
        logits = session.run(batch)
        performance.compute_ms.append(1000 * (time.perf_counter() - start))
        return logits
    logits, times = session.run_timed(batch)
    performance.copy_in_ms.append(times.copy_in_ms)
    performance.compute_ms.append(times.device_ms)
    performance.copy_out_ms.append(times.copy_out_ms)
    return logits


class _Checks:
    """Refuses logits that cannot be a classifier's, each batch by itself and all together."""

    def __init__(self, source: FileSource, coarse: bool) -> None:
        self._source, self._coarse, self._variety = source, coarse, Variety()
        self._scores: list[NDArray[np.float32]] = []

    def see(self, files: Sequence[Path], batch: NDArray[Any], logits: NDArray[np.float32]) -> None:
        """Check one batch."""
        # Whether so many rounded scores are equal by chance is only seen of all files.
        loose = self._coarse or self._source.synthetic
        (check_finite if loose else check_logits)(logits, _name_images(self._source, files))
        if self._source.synthetic:
            return
        if self._coarse:
            self._scores.append(rank_top(logits)[1])
        self._variety.see(batch, logits)

    def finish(self) -> None:
        """Check all batches together."""
        if self._source.synthetic:
            return
        self._variety.check()
        if self._coarse:
            check_logits(np.concatenate(self._scores), _name_images(self._source, self._source.files), coarse=True)


def check_first_batch(session: Session, source: FileSource, batch_size: int, floor: float) -> None:
    """Refuse an engine whose logits depend on the batch: the first files are run with the last ones and alone.

    Args:
        floor: relative error of the logits that is rounding.

    Raises:
        DataError: a file is not what the engine takes.
        ParityError: a logit is not a number, or moves by more.
    """
    count = batch_size // source.images
    first, last = source.files[:count], source.files[count:][-count:]
    batch = load_full(source, batch_size, first)[: len(first) * source.images]
    others = load_full(source, batch_size, last)[: len(last) * source.images] if last else batch[:0]
    names, together = _name_images(source, first), run_padded(session, batch)
    check_finite(together, names)
    compare_batches(session, batch, together, others, names, floor)


def _name_images(source: FileSource, files: Sequence[Path]) -> list[str]:
    return [str(path) for path in files for _ in range(source.images)]


def load_full(source: FileSource, batch_size: int, files: Sequence[Path]) -> NDArray[Any]:
    """A whole batch, (batch_size, …): what is missing is filled up with the first file."""
    shape = (batch_size // source.images, source.images, *(size or 1 for size in source.input.shape[1:]))
    parts: NDArray[Any] = np.empty(shape, source.input.dtype)
    for part, path in zip(parts, files, strict=False):
        source.read(path, part)
    parts[len(files) :] = parts[0]
    return parts.reshape(batch_size, *shape[2:])


def _cut(files: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    return (files[begin : begin + size] for begin in range(0, len(files), size))
