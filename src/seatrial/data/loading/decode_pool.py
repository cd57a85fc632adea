"""Batch buffers that are used again and again, their rows filled with images by threads or by processes."""

import math
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from threading import Event
from typing import Any, Generic, TypeVar

import numpy as np
import psutil
from numpy.typing import DTypeLike, NDArray

from seatrial.closing import Closing
from seatrial.data.loading.worker_process import start_process
from seatrial.errors import DataError, UsageError
from seatrial.machine.allocator import kept_heap

MOST_THREADS = 4
"""More workers than this are processes: of an image's 2.5 ms about a tenth holds the interpreter lock."""
SHARED = Path("/dev/shm")
"""Where Linux has what processes share."""

Item = TypeVar("Item")


def count_decoders(cores: int) -> int:
    """Workers that keep so many cores busy beside an engine.

    As long as they are threads, two for each core, so that one works while the other waits for the interpreter lock.
    """
    return max(cores, min(2 * cores, MOST_THREADS))


@dataclass(frozen=True, slots=True)
class ReadImage:
    """An image after it was read."""

    content: int
    """What identifies its bytes: see `data.loading.batches.fill_row`."""
    note: str | None = None
    """What does no harm, but should be known: see `data.preprocessing.decode.decode_image`."""


FillRow = Callable[[NDArray[Any], Item], ReadImage | None]
"""Fills a row with an item, or raises a DataError; other processes get a copy of it.

It returns what it read, where that is of use.
"""


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of one batch."""

    bad: dict[int, str]
    """Why a row could not be filled, by row; such a row is all 0."""
    seconds: float
    """Time of one worker."""
    read: dict[int, ReadImage] = field(default_factory=dict)
    """What was read into each row that was filled, by row, where the function that filled it returns it."""


class DecodePool(Closing, Generic[Item]):
    """Workers that fill the buffers (batch size, *shape of one image) of a few slots.

    A slot belongs to the caller of `fill` until the next time it is filled.
    """

    def __init__(
        self, fill_row: FillRow[Item], shape: tuple[int, ...], dtype: DTypeLike, slots: int, decode_workers: int
    ) -> None:
        """Start the workers; `shape` is that of one slot's buffer.

        Raises:
            UsageError: there is no room for the buffers.
        """
        self._fill_row, self._stopped = fill_row, Event()
        self._heap = ExitStack()
        self._memory: SharedMemory | None = None
        self._pool: Executor
        layout = (slots, *shape)
        size = math.prod(layout) * np.dtype(dtype).itemsize
        _check_room(slots, shape[0], size, decode_workers > MOST_THREADS)
        if decode_workers <= MOST_THREADS:
            self._heap.enter_context(kept_heap())
            self.buffers: NDArray[Any] = np.empty(layout, dtype)
            self._pool = ThreadPoolExecutor(decode_workers, thread_name_prefix="decode")
            return
        self._memory = SharedMemory(create=True, size=size)
        self.buffers = np.ndarray(layout, dtype, self._memory.buf)
        # A forked process could inherit a lock that another thread of ours holds.
        spawn = multiprocessing.get_context("spawn")
        arguments = (self._memory.name, layout, np.dtype(dtype).str, fill_row)
        self._pool = ProcessPoolExecutor(decode_workers, spawn, initializer=_start_decoder, initargs=arguments)

    def fill(self, slot: int, items: Sequence[Item], first: int = 0) -> Future[Filled]:
        """Start to fill rows of a slot's buffer, one after the other from `first` on; one worker does it."""
        if self._memory is not None:
            return self._pool.submit(_fill_shared, slot, items, first)
        return self._pool.submit(fill_rows, self.buffers[slot], items, self._fill_row, first, self._stopped)

    def stop(self) -> None:
        """Begin nothing more; what is in hand ends soon."""
        self._stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Stop and free everything; nobody may read the buffers any more."""
        self._stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.buffers = np.empty(0)
        self._heap.close()
        if self._memory is not None:
            self._memory.close()
            self._memory.unlink()
            self._memory = None


def fill_rows(
    rows: NDArray[Any],
    items: Sequence[Item],
    fill_row: FillRow[Item],
    first: int = 0,
    stopped: Event | None = None,
) -> Filled:
    """Fill `rows` with `items`, one each from `first` on; what is broken leaves its row all 0."""
    start = time.perf_counter()
    bad = {}
    read: dict[int, ReadImage] = {}
    for row, item in enumerate(items, start=first):
        if stopped is not None and stopped.is_set():
            break
        try:
            image = fill_row(rows[row], item)
        except DataError as error:
            rows[row] = 0
            bad[row] = error.problem
        else:
            if image is not None:
                read[row] = image
    return Filled(bad, time.perf_counter() - start, read)


def _check_room(slots: int, images: int, size: int, shared: bool) -> None:
    """Refuse buffers for which there is no memory; beyond the room in /dev/shm a process would die of writing them."""
    what = f"{slots} batches of {images} images take {size / 2**30:.1f} GiB"
    if size > psutil.virtual_memory().available:
        raise UsageError(f"{what}, and there is no room for them", "take a smaller --batch-size")
    if shared and SHARED.is_dir() and size > shutil.disk_usage(SHARED).free:
        fix = f"a container gets more by --shm-size; up to {MOST_THREADS} --workers need none"
        raise UsageError(f"{what}, and there is no room for them in {SHARED}", fix)


_shared: dict[str, Any] = {}
"""Of a decoding process: its view of the buffers, the memory under it, and what fills a row."""


def _start_decoder(name: str, layout: tuple[int, ...], dtype: str, fill_row: FillRow[Any]) -> None:
    start_process()
    # The parent handles a signal to its process group, and may need this process meanwhile.
    os.setpgrp()
    memory = SharedMemory(name=name)
    _shared.update(memory=memory, buffers=np.ndarray(layout, dtype, memory.buf), fill_row=fill_row)


def _fill_shared(slot: int, items: Sequence[Any], first: int) -> Filled:
    return fill_rows(_shared["buffers"][slot], items, _shared["fill_row"], first)
