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
from seatrial.errors import DataError, Interrupted, SeatrialError, TrainingDiverged
from seatrial.progress import Progress, Update
from seatrial.recipes.schema import Recipe
from seatrial.store.training import Validation
from seatrial.train.amp import Precision
from seatrial.train.device_copies import Upload
from seatrial.train.distributed.process_group import ProcessGroup, count_decoders
from seatrial.train.input.loader import CHECK, TASK
from seatrial.train.network import TrainedNetwork
from seatrial.train.train_step import count_hits

LEAST_BATCH = 64
"""Least batch size of validation, over all ranks."""


@dataclass(slots=True)
class LoadedImages:
    """Images of a step that one rank has, or some of them."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    bad: dict[str, str] = field(default_factory=dict)
    """Why an image was left out, by id."""


def join_images(pieces: Sequence[LoadedImages]) -> LoadedImages:
    """Pieces of a step as one; empty without pieces."""
    if not pieces:
        return LoadedImages(np.empty(0, np.uint8), np.empty(0, np.int64))
    bad = {name: why for piece in pieces for name, why in piece.bad.items()}
    return LoadedImages(np.concatenate([p.pixels for p in pieces]), np.concatenate([p.labels for p in pieces]), bad)


class Validator:
    """Runs the network on the held-out images of a training."""

    def __init__(
        self, recipe: Recipe, images: Sequence[LabelledImage], group: ProcessGroup, progress: Progress
    ) -> None:
        self.images, self.group, self.progress = images, group, progress
        self.settings, self.classes = recipe.train, recipe.network.classes
        self.pipeline = make_pipeline(recipe)
        self.upload, self.precision = Upload(recipe, group.device), Precision(recipe.train, group.device)
        self.batch_size = max(LEAST_BATCH, recipe.train.batch_size // recipe.train.accumulate)
        self.workers = count_decoders(recipe.train, group)

    def check(self, network: TrainedNetwork) -> None:
        """Refuse a network that does not take images of the card's size, which are those of validation.

        Raises:
            UsageError: says what they are.
        """
        height, width, channels = self.pipeline.shape
        fix = "change the card's preprocess steps: validation is at the card's size, whatever --size is"
        network.check_images((1, channels, height, width), fix, training=False)

    def run(self, network: TrainedNetwork, is_stopping: Callable[[], bool]) -> tuple[Validation, dict[str, str]]:
        """Validate the weights that will be stored; also why some images were left out, by id.

        Args:
            is_stopping: whether this process got a stop signal.

        Raises:
            Interrupted: a process got one; raised on all ranks at the same step.
            DataError: an image cannot be read, and `on_bad_image` is error; or none can be read.
            TrainingDiverged: the loss is not finite.
        """
        started = time.perf_counter()
        # Each rank has its own running statistics after a step.
        self.group.broadcast_tensors(network.kept.buffers())
        sums, own_bad = self._count(network, is_stopping)
        bad = {name: why for part in self.group.all_gather_object(own_bad) for name, why in part.items()}
        images, loss, hits1, hits5 = self.group.all_gather(sums).sum(axis=0).tolist()
        if images == 0:
            raise DataError("no held-out image can be read", CHECK)
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"the loss on held-out images is {loss}", "give a checkpoint from before it diverged"
            )
        validation = Validation(
            images=int(images),
            of_images=len(self.images),
            top1=hits1 / images,
            top5=hits5 / images,
            classes=self.classes,
            loss=loss / images,
            seconds=time.perf_counter() - started,
        )
        return validation, bad

    def _count(self, network: TrainedNetwork, is_stopping: Callable[[], bool]) -> tuple[list[float], dict[str, str]]:
        """This rank's images, and sums of their losses and hits in top-1 and top-5; why images were left out, by id."""
        sums = torch.zeros(4, dtype=torch.float64)
        bad: dict[str, str] = {}
        parts, kept = self.split(), network.kept.eval()
        pieces = [[part[i : i + TASK] for i in range(0, len(part), TASK)] for part in parts]
        loads = load_ahead(itertools.chain(*pieces), self.load, self.workers, 2 * self.workers)
        with closing(loads), torch.inference_mode():
            for number, of_step in enumerate(pieces, start=1):
                error: SeatrialError | None = None
                try:
                    loaded = join_images(list(itertools.islice(loads, len(of_step))))
                    bad.update(loaded.bad)
                    # The last step may have fewer images than there are ranks.
                    if len(loaded.labels):
                        images = self.upload.normalise(self.upload.copy(loaded.pixels))
                        logits, labels = self.precision.run(kept, images), self.upload.copy(loaded.labels)
                        loss = functional.cross_entropy(logits, labels, reduction="sum")
                        sums[0] += len(labels)
                        sums[1:] += torch.stack([loss, *count_hits(logits, labels)]).cpu()
                except SeatrialError as raised:
                    error = raised
                if self.group.sync(error, is_stopping())[0]:
                    raise Interrupted("stopped while validating", "run the same command to validate again")
                self.progress(Update("validate", number, len(parts), "steps"))
        return sums.tolist(), bad

    def split(self) -> list[Sequence[LabelledImage]]:
        """This rank's part of each step; `max_eval_steps` takes images evenly from all, which are sorted by class."""
        images, steps = self.images, self.settings.max_eval_steps
        most = len(images) if steps is None else min(len(images), steps * self.batch_size)
        if most < len(images):
            images = [images[i * len(images) // most] for i in range(most)]
        chunks = [images[i : i + self.batch_size] for i in range(0, len(images), self.batch_size)]
        return [chunk[self.group.info.stride] for chunk in chunks]

    def load(self, images: Sequence[LabelledImage]) -> LoadedImages:
        """Some images as uint8 (n, *pipeline.shape), with their classes.

        Raises:
            DataError: one cannot be read, and `on_bad_image` is error.
        """
        pixels = np.empty((len(images), *self.pipeline.shape), dtype=np.uint8)
        good, bad = [], {}
        for row, image in enumerate(images):
            try:
                fill_row(pixels[row], image, self.pipeline)
                good.append(row)
            except DataError as error:
                if self.settings.on_bad_image == "error":
                    raise
                bad[image.id] = error.problem
        labels = np.array([images[row].label for row in good], dtype=np.int64)
        return LoadedImages(pixels if len(good) == len(images) else pixels[good], labels, bad)
