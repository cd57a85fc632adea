"""Image files to uint8 batches: decoded and cropped by a pool of threads, bounded, in order."""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.data.feed import Feed
from seatrial.data.labels import LabelledImage
from seatrial.errors import DataError


def load_batch(paths: Sequence[Path], feed: Feed) -> NDArray[np.uint8]:
    """Some images at once, (n, *feed.shape).

    Raises:
        DataError: a file is no image; names it.
    """
    batch = np.empty((len(paths), *feed.shape), dtype=np.uint8)
    for row, path in zip(batch, paths, strict=True):
        row[:] = feed.load(path)
    return batch


def fill_row(row: NDArray[np.generic], image: LabelledImage, feed: Feed) -> None:
    """Put one image where a batch has its place: as uint8 (*feed.shape), or as it was prepared.

    Raises:
        DataError: it is no image, or not of the size that was said.
    """
    data = image.read()
    if image.prepared is None:
        row[:] = feed.decode(data, str(image))
        return
    if len(data) != row.nbytes:
        raise DataError(f"{image} holds {len(data)} bytes, where an input of {row.nbytes} belongs")
    row[:] = np.frombuffer(data, dtype=row.dtype).reshape(row.shape)


def iterate_batches(paths: Sequence[Path], feed: Feed, batch_size: int, workers: int) -> Iterator[NDArray[np.uint8]]:
    """Batches (n, *feed.shape) in the order of `paths`; only the last may be smaller.

    Decoding and resizing let go of the interpreter lock, so threads keep all cores busy. At most two batches per
    worker are held at a time.

    Raises:
        DataError: a file is no image; names it.
    """
    chunks = [paths[i : i + batch_size] for i in range(0, len(paths), batch_size)]
    waiting: deque[Future[NDArray[np.uint8]]] = deque()
    upcoming = iter(chunks)
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for chunk in itertools.islice(upcoming, 2 * workers):
                waiting.append(pool.submit(load_batch, chunk, feed))
            while waiting:
                batch = waiting.popleft().result()
                waiting.extend(pool.submit(load_batch, chunk, feed) for chunk in itertools.islice(upcoming, 1))
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
