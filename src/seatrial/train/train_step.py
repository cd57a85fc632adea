"""One step of the optimiser: this rank's images in micro-batches, their losses weighted by the images of all ranks."""

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
from seatrial.train.distributed.process_group import ProcessGroup
from seatrial.train.network import TrainedNetwork
from seatrial.train.optim import set_learning_rate

Mixing = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Images (n, 3, height, width) and classes (n,) to mixed images and soft labels (n, classes)."""


class Stepper:
    """Runs the steps of a training."""

    def __init__(
        self,
        recipe: Recipe,
        network: TrainedNetwork,
        optimizer: torch.optim.Optimizer,
        group: ProcessGroup,
        mix: Mixing | None,
    ) -> None:
        self.settings = recipe.train
        self.network = network
        self.optimizer = optimizer
        self.group = group
        self.mix = mix
        self.precision = Precision(recipe.train, group.device)
        self.upload = Upload(recipe, group.device)

    def run(self, pixels: NDArray[np.uint8], labels: NDArray[np.int64], step: int, rate: float, total: int) -> Readback:
        """Run step `step` (from 0) on this rank's part of its `total` images.

        Returns:
            Sum of the losses, hits in top-1 and in top-5, over all ranks.
        """
        # A seed for each step: no random state has to be stored, for each rank and device.
        torch.manual_seed(draw_seed(self.settings.seed, step, self.group.rank))
        set_learning_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        images, targets = self.upload.copy(pixels), self.upload.copy(labels)
        parts = min(self.settings.accumulate, len(labels))
        sums = torch.zeros(3, device=self.group.device)
        micro_batches = zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True)
        for number, micro_batch in enumerate(micro_batches, start=1):
            with self._gradient_sync(number == parts):
                sums += self._backward(*micro_batch, total)
        self.precision.step(self.optimizer)
        self.network.update_average(step + 1)
        return Readback(self.group.all_reduce(sums))

    def _backward(self, pixels: torch.Tensor, labels: torch.Tensor, total: int) -> torch.Tensor:
        """Add a micro-batch's gradients; returns its sum of losses and its hits."""
        images = self.upload.normalise(pixels)
        targets = labels
        if self.mix is not None:
            images, targets = self.mix(images, labels)
        logits = self.precision.run(self.network.whole, images)
        loss = functional.cross_entropy(logits, targets, label_smoothing=self.settings.label_smoothing, reduction="sum")
        # DDP averages gradients over the ranks, so that this is the mean over all images.
        self.precision.scaler.scale(loss * (self.group.size / total)).backward()  # type: ignore[no-untyped-call]
        return torch.stack([loss.detach(), *count_hits(logits.detach(), labels)])

    def _gradient_sync(self, last: bool) -> AbstractContextManager[Any]:
        """Ranks exchange gradients after the last micro-batch only."""
        whole = self.network.whole
        return contextlib.nullcontext() if last or self.group.size == 1 else whole.no_sync()  # type: ignore[operator]


def count_hits(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Number of images whose label is the first class, and among the first five."""
    hits = logits.topk(min(K, logits.shape[1])).indices == labels[:, None]
    return hits[:, 0].sum(), hits.sum()


def draw_seed(seed: int, step: int, rank: int) -> int:
    """A seed that no other step or rank has."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)
