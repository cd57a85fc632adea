"""A stand-in for the input pipeline: the present thread pool behind the loop's seam."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.data.ahead import load_ahead
from seatrial.data.labels import LabelledImage
from seatrial.recipes.schema import Recipe
from seatrial.train.augment import load_augmented
from seatrial.train.batches import count_steps


@dataclass(frozen=True)
class PlainBatch:
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    images: tuple[LabelledImage, ...]


class PlainLoader:
    def __init__(self, images: Sequence[LabelledImage], recipe: Recipe, rank: int, size: int, workers: int) -> None:
        self.images, self.recipe, self.rank, self.size, self.workers = images, recipe, rank, size, workers
        self.batch_size = min(recipe.train.batch_size, len(images))
        self.steps = count_steps(len(images), self.batch_size)
        self.bad: dict[str, str] = {}

    def epoch(self, number: int, first_step: int = 0) -> Generator[PlainBatch]:
        seed = self.recipe.train.seed
        order = np.random.default_rng([seed, number]).permutation(len(self.images))
        b = self.batch_size
        chunks = [order[i * b : (i + 1) * b][self.rank :: self.size] for i in range(first_step, self.steps)]

        def load(index: int) -> NDArray[np.uint8]:
            return load_augmented(self.images[index].path, self.recipe, np.random.default_rng([seed, number, index]))

        flat = [int(i) for chunk in chunks for i in chunk]
        loads = load_ahead(flat, load, self.workers, 2 * b)
        try:
            for chunk in chunks:
                pixels = np.stack([next(loads) for _ in chunk])
                labels = np.array([self.images[i].label for i in chunk], dtype=np.int64)
                yield PlainBatch(pixels, labels, tuple(self.images[i] for i in chunk))
        finally:
            loads.close()
