"""Image files to uint8 batches: decoded and cropped by a pool of threads, bounded, in order."""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.data.decode import read_image
from seatrial.data.preprocess import apply_pixel_steps
from seatrial.recipes.schema import Recipe


def load_pixels(path: Path, recipe: Recipe) -> NDArray[np.uint8]:
    """One image as the network's uint8 input, (height, width, 3).

    Raises:
        DataError: the file is no image.
    """
    return apply_pixel_steps(read_image(path), recipe.preprocess)


def load_batch(paths: Sequence[Path], recipe: Recipe) -> NDArray[np.uint8]:
    """Some images at once, (n, height, width, 3)."""
    batch = _empty(len(paths), recipe)
    for row, path in zip(batch, paths, strict=True):
        row[:] = load_pixels(path, recipe)
    return batch


def iterate_batches(
    paths: Sequence[Path], recipe: Recipe, batch_size: int, workers: int
) -> Iterator[NDArray[np.uint8]]:
    """Batches (n, height, width, 3) in the order of `paths`; only the last may be smaller.

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
                waiting.append(pool.submit(load_batch, chunk, recipe))
            while waiting:
                batch = waiting.popleft().result()
                waiting.extend(pool.submit(load_batch, chunk, recipe) for chunk in itertools.islice(upcoming, 1))
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _empty(count: int, recipe: Recipe) -> NDArray[np.uint8]:
    return np.empty((count, *recipe.input_size, 3), dtype=np.uint8)
