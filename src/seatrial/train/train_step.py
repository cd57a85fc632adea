"""One step of the optimiser: this process's images in micro-batches, their losses weighted by what all have."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from seatrial.metrics.topk import K
from seatrial.recipes.schema import Recipe
from seatrial.train.amp import Precision
from seatrial.train.device_copies import Readback, Upload
from seatrial.train.distributed.process_group import World
from seatrial.train.network import TrainedNetwork
from seatrial.train.optim import set_learning_rate

Mixing = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Images (n, 3, height, width) and classes (n,) to mixed images and soft labels (n, classes)."""


class Stepper:
    """What a step needs beside its images."""

    def __init__(
        self,
        recipe: Recipe,
        network: TrainedNetwork,
        optimizer: torch.optim.Optimizer,
        world: World,
        mix: Mixing | None,
    ) -> None:
        self.settings = recipe.train
        self.network = network
        self.optimizer = optimizer
        self.world = world
        self.mix = mix
        self.precision = Precision(recipe.train, world.device)
        self.upload = Upload(recipe, world.device)

    def run(self, pixels: NDArray[np.uint8], labels: NDArray[np.int64], step: int, rate: float, total: int) -> Readback:
        """Step `step` (from 0) with this process's part of its `total` images.

        Returns:
            Sum of the losses, images right in top-1 and in top-5, over all processes.
        """
        # The seed stands in for a random state that would have to be kept, for each process and device.
        torch.manual_seed(draw_seed(self.settings.seed, step, self.world.rank))
        set_learning_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        images, targets = self.upload.take(pixels), self.upload.take(labels)
        parts = min(self.settings.accumulate, len(labels))
        facts = torch.zeros(3, device=self.world.device)
        for number, (some, of_them) in enumerate(
            zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True), start=1
        ):
            with self._exchanging(number == parts):
                facts += self._go_back(some, of_them, total)
        self.precision.step(self.optimizer)
        self.network.update_average(step + 1)
        return Readback(self.world.add_up(facts))

    def _go_back(self, pixels: torch.Tensor, labels: torch.Tensor, total: int) -> torch.Tensor:
        """Add a micro-batch's gradients; its sum of losses and its hits."""
        images = self.upload.normalise(pixels)
        targets = labels
        if self.mix is not None:
            images, targets = self.mix(images, labels)
        logits = self.precision.run(self.network.whole, images)
        loss = functional.cross_entropy(logits, targets, label_smoothing=self.settings.label_smoothing, reduction="sum")
        # Gradients are averaged over the processes, so that this comes to the mean over all images.
        self.precision.scaler.scale(loss * (self.world.size / total)).backward()  # type: ignore[no-untyped-call]
        return torch.stack([loss.detach(), *count_hits(logits.detach(), labels)])

    def _exchanging(self, last: bool) -> AbstractContextManager[Any]:
        """Processes exchange gradients after the last micro-batch only."""
        whole = self.network.whole
        return contextlib.nullcontext() if last or self.world.size == 1 else whole.no_sync()  # type: ignore[operator]


def count_hits(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose label is the first class, and among the first five."""
    found = logits.topk(min(K, logits.shape[1])).indices == labels[:, None]
    return found[:, 0].sum(), found.sum()


def draw_seed(seed: int, step: int, rank: int) -> int:
    """A seed that no other step or process has."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)
