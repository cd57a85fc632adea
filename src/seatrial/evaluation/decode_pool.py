"""Image files decoded into batch buffers that are used again and again, by threads or by processes."""

import math
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from threading import Event
from types import TracebackType
from typing import Any, Self

import numpy as np
import psutil
from numpy.typing import DTypeLike, NDArray

from seatrial.data.batches import fill_row
from seatrial.data.feed import Feed
from seatrial.data.labels import LabelledImage
from seatrial.data.worker_process import start_process
from seatrial.errors import DataError, UsageError

MOST_THREADS = 4
"""More workers than this are processes: of an image's 2.5 ms about a tenth holds the interpreter lock."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of one batch."""

    bad: dict[int, str]
    """Why a row could not be filled, by row; such a row is all 0."""
    seconds: float
    """Time of one worker."""


class DecodePool:
    """Workers that fill the buffers (batch size, *shape of one image) of a few slots.

    A slot belongs to whoever asked to fill it until the next time it is filled.
    """

    def __init__(self, feed: Feed, shape: tuple[int, ...], dtype: DTypeLike, slots: int, workers: int) -> None:
        self._feed, self._stopped = feed, Event()
        self._memory: SharedMemory | None = None
        self._pool: Executor
        layout = (slots, *shape)
        size = math.prod(layout) * np.dtype(dtype).itemsize
        if size > psutil.virtual_memory().available:
            raise UsageError(
                f"{slots} batches of {shape[0]} images take {size / 2**30:.1f} GiB, and there is no room for them",
                "take a smaller --batch-size",
            )
        if workers <= MOST_THREADS:
            self.buffers: NDArray[Any] = np.empty(layout, dtype)
            self._pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
            return
        self._memory = SharedMemory(create=True, size=size)
        self.buffers = np.ndarray(layout, dtype, self._memory.buf)
        # A forked process could inherit a lock that another thread of ours holds.
        spawn = multiprocessing.get_context("spawn")
        asked = (self._memory.name, layout, np.dtype(dtype).str, feed)
        self._pool = ProcessPoolExecutor(workers, spawn, initializer=_start_decoder, initargs=asked)

    def fill(self, slot: int, images: Sequence[LabelledImage]) -> Future[Filled]:
        """Start to fill the first rows of a slot's buffer."""
        if self._memory is not None:
            return self._pool.submit(_fill_shared, slot, images)
        return self._pool.submit(fill_rows, self.buffers[slot], images, self._feed, self._stopped)

    def stop(self) -> None:
        """Begin nothing more; what is in hand ends soon."""
        self._stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Stop and free everything; nobody may read the buffers any more."""
        self._stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.buffers = np.empty(0)
        if self._memory is not None:
            self._memory.close()
            self._memory.unlink()
            self._memory = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def fill_rows(rows: NDArray[Any], images: Sequence[LabelledImage], feed: Feed, stopped: Event | None = None) -> Filled:
    """Put `images` into the first of `rows`, one each; a broken one leaves its row all 0."""
    start = time.perf_counter()
    bad = {}
    for row, image in enumerate(images):
        if stopped is not None and stopped.is_set():
            break
        try:
            fill_row(rows[row], image, feed)
        except DataError as error:
            rows[row] = 0
            bad[row] = error.problem
    return Filled(bad, time.perf_counter() - start)


_shared: dict[str, Any] = {}
"""Of a decoding process: its view of the buffers, the memory under it, and the preprocessing."""


def _start_decoder(name: str, layout: tuple[int, ...], dtype: str, feed: Feed) -> None:
    start_process()
    memory = SharedMemory(name=name)
    _shared.update(memory=memory, buffers=np.ndarray(layout, dtype, memory.buf), feed=feed)


def _fill_shared(slot: int, images: Sequence[LabelledImage]) -> Filled:
    return fill_rows(_shared["buffers"][slot], images, _shared["feed"])
