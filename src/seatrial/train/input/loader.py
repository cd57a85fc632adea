"""Shuffled, augmented training batches: the same for a seed, whatever the number of workers and processes."""

import weakref
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.closing import Closing
from seatrial.data.images import LabelledImage
from seatrial.data.loading.decode_pool import DecodePool, Filled, fill_rows
from seatrial.data.names import count_names
from seatrial.errors import DataError
from seatrial.recipes.training import Train
from seatrial.train.distributed.rank import RankInfo
from seatrial.train.input.augment import Augment, DrawnImage
from seatrial.train.input.sampler import EpochSampler

SLOTS = 3
"""Batches in memory with a GPU or NPU: one in use, the others being filled."""
TASK = 16
"""Images that a decode worker loads at a time, at most."""
TASKS_EACH = 4
"""Tasks for each worker on a CPU, where a batch is waited for, so that all end at about the same time."""
MOST_BAD = 0.01
"""Share of the images that may be skipped; one always may."""
CHECK = "run `seatrial data check` to find all of them"


@dataclass(frozen=True, slots=True)
class Batch:
    """The n images that one rank has of a step."""

    pixels: NDArray[np.uint8]
    """(n, height, width, channels); overwritten when the next batch is requested."""
    labels: NDArray[np.int64]
    """(n,)."""
    images: tuple[LabelledImage, ...]


@dataclass(frozen=True, slots=True)
class _Filling:
    """A batch that is being filled."""

    slot: int
    step: NDArray[np.int64]
    """Index and repetition of each image of the whole step, (batch size, 2)."""
    parts: list[Future[Filled]]


class Batches(Closing):
    """One rank's batches of every epoch, from any source of images."""

    def __init__(self, sampler: EpochSampler) -> None:
        self.bad: dict[str, str] = {}
        """Why images were skipped, by their ids."""
        self._sampler, self.steps = sampler, sampler.steps
        self.batch_size = sampler.batch_size
        """Images of a step, over all processes."""

    def epoch(self, number: int, first_step: int = 0) -> Generator[Batch]:
        """The batches of an epoch (from 0) from a step on; close it before the next epoch.

        Raises:
            DataError: an image cannot be read, or too many were skipped.
        """
        raise NotImplementedError


class Loader(Batches):
    """Batches of one rank, decoded and augmented on all its cores while the device computes.

    On a CPU each batch is filled when it is requested: a worker beside torch's threads takes three times as long.

    The workers live until it is closed.
    """

    def __init__(self, images: Sequence[LabelledImage], augment: Augment, rank: RankInfo, workers: int) -> None:
        """Make a loader; its workers start with the first epoch.

        Raises:
            UsageError: some process would have no image in a step.
        """
        settings = augment.settings
        super().__init__(EpochSampler(len(images), settings))
        self._images, self._settings, self._rank, self._workers = images, settings, rank, workers
        self._count = self._sampler.count_local(rank)
        self._augment = augment
        self._slots = 1 if settings.device == "cpu" else SLOTS
        self._filling: deque[_Filling] = deque()
        self._pool: DecodePool[DrawnImage] | None = None

    def epoch(self, number: int, first_step: int = 0) -> Generator[Batch]:
        """The batches of an epoch (from 0) from a step on; close it before the next epoch.

        An image that cannot be read stops it, or with `on_bad_image` skip is replaced by another crop of the next one
        of the step that can. So a step does not depend on the number of processes even then.

        Raises:
            DataError: an image cannot be read, or too many were skipped.
        """
        assert not self._filling, "the epoch before was not closed"
        pool, order, size = self._start(), self._sampler.draw(number), self.batch_size
        coming = (order[step * size : (step + 1) * size] for step in range(first_step, self.steps))
        try:
            for slot, step in zip(range(self._slots), coming, strict=False):
                self._filling.append(self._fill(pool, number, slot, step))
            while self._filling:
                yield self._finish(pool, number, self._filling[0])
                slot = self._filling.popleft().slot
                if (following := next(coming, None)) is not None:
                    self._filling.append(self._fill(pool, number, slot, following))
        except BrokenProcessPool:
            fix = "if memory ran out, run it again with fewer --workers"
            raise DataError("a decode worker was killed", fix) from None
        finally:
            parts = [part for batch in self._filling for part in batch.parts]
            for part in parts:
                part.cancel()
            wait(parts)
            self._filling.clear()

    def close(self) -> None:
        """End the workers; its batches must no longer be read. Closing twice is harmless."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _start(self) -> DecodePool[DrawnImage]:
        if self._pool is None:
            shape = (self._count, *self._augment.shape)
            self._pool = DecodePool(self._augment, shape, np.uint8, self._slots, self._workers)
            # Processes and shared memory would outlive a loader that nobody closed.
            weakref.finalize(self, self._pool.close)
        return self._pool

    def _fill(self, pool: DecodePool[DrawnImage], epoch: int, slot: int, step: NDArray[np.int64]) -> _Filling:
        drawn = [self._draw(epoch, index, repetition) for index, repetition in step[self._rank.stride].tolist()]
        tasks = self._workers * (TASKS_EACH if self._slots == 1 else 1)
        # Repetitions of an image stay together, to be decoded once.
        repeats = self._settings.repeats
        length = repeats * -(-min(TASK, -(-len(drawn) // tasks)) // repeats)
        parts = [pool.fill(slot, drawn[row : row + length], row) for row in range(0, len(drawn), length)]
        return _Filling(slot, step, parts)

    def _draw(self, epoch: int, index: int, repetition: int) -> DrawnImage:
        return DrawnImage(self._images[index], (self._settings.seed, epoch, index, repetition))

    def _finish(self, pool: DecodePool[DrawnImage], epoch: int, filling: _Filling) -> Batch:
        bad = {row: why for part in filling.parts for row, why in part.result().bad.items()}
        rows = pool.buffers[filling.slot]
        images = [self._images[index] for index in filling.step[self._rank.stride, 0].tolist()]
        for row, why in sorted(bad.items()):
            self._skip(images[row], why)
            images[row] = self._replace(rows, row, epoch, filling.step)
        labels = np.array([image.label for image in images], dtype=np.int64)
        return Batch(rows, labels, tuple(images))

    def _replace(self, rows: NDArray[np.uint8], row: int, epoch: int, step: NDArray[np.int64]) -> LabelledImage:
        """Fill a row with the next image of the step that can be read, in a crop that no other row has."""
        position = self._rank.rank + row * self._rank.size
        for distance in range(1, len(step)):
            index, repetition = step[(position + distance) % len(step)].tolist()
            drawn = self._draw(epoch, index, repetition + self._settings.repeats * distance)
            if drawn.image.id in self.bad:
                continue
            bad = fill_rows(rows, [drawn], self._augment, row).bad
            if not bad:
                return drawn.image
            self._skip(drawn.image, bad[row])
        raise DataError(f"none of the {len(step)} images of a step can be read", CHECK)

    def _skip(self, image: LabelledImage, why: str) -> None:
        if self._settings.on_bad_image == "error":
            raise DataError(why, "mend or remove it, or give --on-bad-image skip")
        self.bad[image.id] = why
        if len(self.bad) > max(1, int(MOST_BAD * len(self._images))):
            bad = count_names("cannot be read", sorted(self.bad))
            raise DataError(f"of {len(self._images)} images, {bad}: at most {MOST_BAD:.0%} are skipped", CHECK)


class SyntheticLoader(Batches):
    """The same batch of random pixels again and again, to measure a training without its input."""

    def __init__(self, images: int, classes: int, settings: Train, shape: tuple[int, int, int], rank: RankInfo) -> None:
        """Make the one batch.

        Args:
            images: how many an epoch has.
            shape: rows, columns and channels of one.

        Raises:
            UsageError: some process would have no image in a step.
        """
        super().__init__(EpochSampler(images, settings))
        count = self._sampler.count_local(rank)
        rng = np.random.default_rng([settings.seed, rank.rank])
        labels = rng.integers(classes, size=count)
        names = [f"synthetic-{row * rank.size + rank.rank}" for row in range(count)]
        rows = tuple(LabelledImage(name, Path(name), label) for name, label in zip(names, labels.tolist(), strict=True))
        self._batch = Batch(rng.integers(256, size=(count, *shape), dtype=np.uint8), labels, rows)

    def epoch(self, number: int, first_step: int = 0) -> Generator[Batch]:
        """The one batch, as often as an epoch has steps from `first_step` on."""
        for _ in range(first_step, self.steps):
            yield self._batch

    def close(self) -> None:
        """Nothing to end."""
