"""Shuffled, augmented training batches, the same for a seed whatever the number of workers."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from seatrial.data.labels import LabelledImage
from seatrial.recipes.schema import Recipe
from seatrial.train.augment import load_augmented

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images (n, height, width, 3) and their classes (n,)."""


def count_steps(images: int, batch_size: int) -> int:
    """Steps of one epoch; what is left over after the last full batch is dropped, as BatchNorm wants."""
    return max(1, images // batch_size)


def iterate_epoch(
    images: Sequence[LabelledImage], recipe: Recipe, seed: int, epoch: int, workers: int
) -> Iterator[Batch]:
    """The batches of one epoch, one being prepared while another is in use.

    Order depends on (seed, epoch), an image's crop on (seed, epoch, image) alone.

    Raises:
        DataError: a file is no image.
    """
    size = min(recipe.train.batch_size, len(images))
    order = np.random.default_rng([seed, epoch]).permutation(len(images))
    chunks = [order[i * size : (i + 1) * size] for i in range(count_steps(len(images), size))]

    def load(index: int) -> NDArray[np.uint8]:
        return load_augmented(images[index].path, recipe, np.random.default_rng([seed, epoch, index]))

    with ThreadPoolExecutor(workers, thread_name_prefix="augment") as pool:
        try:
            pending = [pool.submit(load, i) for i in chunks[0]]
            for chunk, following in zip(chunks, [*chunks[1:], chunks[0][:0]], strict=True):
                ready, pending = pending, [pool.submit(load, i) for i in following]
                labels = np.array([images[i].label for i in chunk], dtype=np.int64)
                yield np.stack([f.result() for f in ready]), labels
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
