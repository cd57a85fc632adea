"""Validation that counts every held-out image exactly once, on any number of processes."""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from seatrial.data.images import LabelledImage
from seatrial.data.loading.batches import fill_row
from seatrial.data.loading.prefetch import load_ahead
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.errors import DataError, SeatrialError, TrainingDiverged
from seatrial.progress import Progress, Update
from seatrial.recipes.schema import Recipe
from seatrial.store.training import Validation
from seatrial.train.amp import Precision
from seatrial.train.device_copies import Upload
from seatrial.train.distributed.process_group import World, count_decoders
from seatrial.train.network import TrainedNetwork
from seatrial.train.train_step import count_hits

LEAST_BATCH = 64
"""Images of a validation's step, over all processes, where training takes fewer."""
TASK = 16
"""Images that a worker loads at a time."""


class Stopped(Exception):
    """A process was asked to stop; all of them notice at the same step."""


@dataclass(slots=True)
class Loaded:
    """Images of a step that one process has, or some of them."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    bad: dict[str, str] = field(default_factory=dict)
    """Why an image is not among them, by id."""


def join(pieces: Sequence[Loaded]) -> Loaded:
    """Pieces of a step as one; empty where there are none."""
    if not pieces:
        return Loaded(np.empty(0, np.uint8), np.empty(0, np.int64))
    bad = {name: why for piece in pieces for name, why in piece.bad.items()}
    return Loaded(np.concatenate([p.pixels for p in pieces]), np.concatenate([p.labels for p in pieces]), bad)


class Counts:
    """What this process counted; all of them together are the validation."""

    def __init__(self) -> None:
        self.images = 0
        self.sums = torch.zeros(3, dtype=torch.float64)
        """Losses, hits in top-1 and top-5."""
        self.bad: dict[str, str] = {}

    def add(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Count some answers."""
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        self.images += len(labels)
        self.sums += torch.stack([loss, *count_hits(logits, labels)]).cpu()


class Validator:
    """The held-out images of a training, and how they are answered."""

    def __init__(self, recipe: Recipe, images: Sequence[LabelledImage], world: World, progress: Progress) -> None:
        settings = recipe.train
        self.images, self.world, self.progress = images, world, progress
        self.pipeline = make_pipeline(recipe)
        self.upload, self.precision = Upload(recipe, world.device), Precision(settings, world.device)
        self.batch_size = max(LEAST_BATCH, settings.batch_size // settings.accumulate)
        self.max_steps = settings.max_eval_steps
        self.skip_bad = settings.on_bad_image == "skip"
        self.workers = count_decoders(settings, world)

    def run(self, network: TrainedNetwork, asked: Callable[[], bool]) -> tuple[Validation, dict[str, str]]:
        """What the held-out images say of the weights that are kept, and why some images were left out.

        Args:
            asked: whether this process was asked to stop.

        Raises:
            Stopped: a process was.
            DataError: an image cannot be read, and bad ones are not to be skipped; or there is none left.
            TrainingDiverged: the loss is no number.
        """
        started = time.perf_counter()
        network.even_out()
        counts = self._count(network, asked)
        totals = self.world.collect([counts.images, *counts.sums.tolist()]).sum(axis=0)
        bad = {name: why for found in self.world.gather(counts.bad) for name, why in found.items()}
        images, loss, hits1, hits5 = totals.tolist()
        if images == 0:
            raise DataError("no held-out image could be read", "mend the data set")
        if not math.isfinite(loss):
            raise TrainingDiverged(f"the loss on held-out images is {loss}: these weights are of no use")
        validation = Validation(
            images=int(images),
            of_images=len(self.images),
            top1=hits1 / images,
            top5=hits5 / images,
            loss=loss / images,
            seconds=time.perf_counter() - started,
        )
        return validation, bad

    def _count(self, network: TrainedNetwork, asked: Callable[[], bool]) -> Counts:
        counts, parts, kept = Counts(), self.split(), network.kept.eval()
        pieces = [[part[i : i + TASK] for i in range(0, len(part), TASK)] for part in parts]
        loads = load_ahead(itertools.chain(*pieces), self.load, self.workers, 2 * self.workers)
        with closing(loads), torch.inference_mode():
            for number, of_step in enumerate(pieces, start=1):
                error: SeatrialError | None = None
                try:
                    loaded = join(list(itertools.islice(loads, len(of_step))))
                    counts.bad.update(loaded.bad)
                    # The last step may have fewer images than there are processes.
                    if len(loaded.labels):
                        images = self.upload.normalise(self.upload.take(loaded.pixels))
                        counts.add(self.precision.run(kept, images), self.upload.take(loaded.labels))
                except SeatrialError as raised:
                    error = raised
                if self.world.meet(error, asked())[0]:
                    raise Stopped
                self.progress(Update("validate", number, len(parts), "steps"))
        return counts

    def split(self) -> list[Sequence[LabelledImage]]:
        """This process's part of each step; a part of the whole is spread evenly over it, as folders sort by class."""
        images = self.images
        most = len(images) if self.max_steps is None else min(len(images), self.max_steps * self.batch_size)
        if most < len(images):
            images = [images[i * len(images) // most] for i in range(most)]
        chunks = [images[i : i + self.batch_size] for i in range(0, len(images), self.batch_size)]
        return [chunk[self.world.rank :: self.world.size] for chunk in chunks]

    def load(self, images: Sequence[LabelledImage]) -> Loaded:
        """Some images as uint8 (n, *pipeline.shape), with their classes.

        Raises:
            DataError: one is no image, and bad ones are not to be skipped.
        """
        pixels = np.empty((len(images), *self.pipeline.shape), dtype=np.uint8)
        good, bad = [], {}
        for row, image in enumerate(images):
            try:
                fill_row(pixels[row], image, self.pipeline)
                good.append(row)
            except DataError as error:
                if not self.skip_bad:
                    raise
                bad[image.id] = error.problem
        labels = np.array([images[row].label for row in good], dtype=np.int64)
        return Loaded(pixels if len(good) == len(images) else pixels[good], labels, bad)
