"""The training loop: epochs over augmented images, a snapshot after each, a checkpoint at the end."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seatrial.data.batches import iterate_batches
from seatrial.data.feed import make_feed
from seatrial.data.labels import LabelledImage
from seatrial.engines.cpu import count_cores
from seatrial.errors import TrainingDiverged
from seatrial.metrics.topk import TopK, rank_top
from seatrial.models.build import build_network
from seatrial.progress import Progress, Update
from seatrial.recipes.schema import Recipe
from seatrial.store.records import Epoch
from seatrial.train.batches import Loader
from seatrial.train.optim import learning_rate_at, make_optimizer, set_learning_rate
from seatrial.train.order import Share
from seatrial.train.snapshot import Snapshot, load_snapshot, save_snapshot


@dataclass(frozen=True, slots=True)
class TrainJob:
    """What to train on and where the snapshot goes."""

    recipe: Recipe
    train: Sequence[LabelledImage]
    val: Sequence[LabelledImage]
    snapshot: Path
    key: str
    """What identifies this training: a snapshot with another key is not taken up."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 runs the network under autocast; weights and optimiser stay fp32."""
    seed: int = 0


class Trainer:
    """A network in training; `run` brings it from its last snapshot to the end."""

    def __init__(self, job: TrainJob, progress: Progress) -> None:
        self.job = job
        self.progress = progress
        self.settings = job.recipe.train
        torch.manual_seed(job.seed)
        self.network = build_network(job.recipe.network).to(memory_format=torch.channels_last)
        self.optimizer = make_optimizer(self.network, self.settings)
        self.loss = nn.CrossEntropyLoss(label_smoothing=self.settings.label_smoothing)
        mean, std = job.recipe.normalisation
        seeded = self.settings.model_copy(update={"seed": job.seed})
        self.loader = Loader(job.train, seeded, job.recipe.input_size, Share(), count_cores(), mean)
        self.steps = self.loader.steps
        self.mean = torch.tensor(mean).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(std).view(1, 3, 1, 1) * 255
        self.bf16 = job.precision == "bf16"

    def run(self) -> tuple[Epoch, ...]:
        """Train to the last epoch; goes on from a snapshot of the same training.

        Raises:
            TrainingDiverged: the loss is no longer a number.
            DataError: a file is no image.
        """
        found = load_snapshot(self.job.snapshot, self.job.key)
        epochs: tuple[Epoch, ...] = ()
        if found is not None:
            self.network.load_state_dict(found.network)
            self.optimizer.load_state_dict(found.optimizer)
            epochs = found.epochs
            self.progress(Update("train", note=f"going on after epoch {len(epochs)} of {self.settings.epochs}"))
        for number in range(len(epochs), self.settings.epochs):
            epochs = (*epochs, self.run_epoch(number))
            save_snapshot(
                self.job.snapshot,
                Snapshot(self.job.key, self.network.state_dict(), self.optimizer.state_dict(), epochs),
            )
        return epochs

    def run_epoch(self, number: int) -> Epoch:
        """One pass over the training images, then the held-out ones."""
        self.network.train()
        start = time.perf_counter()
        losses, seen, right = 0.0, 0, 0
        for step, batch in enumerate(self.loader.epoch(number), start=number * self.steps):
            pixels, labels = batch.pixels, batch.labels
            rate = learning_rate_at(step, self.steps, self.settings)
            loss, logits = self.train_step(pixels, torch.from_numpy(labels), rate)
            if not math.isfinite(loss):
                raise TrainingDiverged(
                    f"the loss became {loss} at step {step} (epoch {number + 1})", "try a smaller --learning-rate"
                )
            losses, seen = losses + loss * len(labels), seen + len(labels)
            right += int((logits.argmax(1).numpy() == labels).sum())
            self.tell(step, losses / seen, right / seen, seen / (time.perf_counter() - start))
        seconds = time.perf_counter() - start
        top1 = self.evaluate().accuracy()
        note = f"epoch {number + 1}/{self.settings.epochs}: loss {losses / seen:.3f}, held-out top-1 {top1:.2%}"
        self.progress(Update("train", note=note))
        return Epoch(
            epoch=number + 1,
            loss=losses / seen,
            train_top1=right / seen,
            val_top1=top1,
            learning_rate=rate,
            images_per_s=seen / seconds,
            seconds=seconds,
        )

    def train_step(self, pixels: NDArray[np.uint8], labels: torch.Tensor, rate: float) -> tuple[float, torch.Tensor]:
        """One step; returns the mean loss of the batch and its logits."""
        set_learning_rate(self.optimizer, rate)
        logits = self.forward(pixels)
        loss = self.loss(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach()), logits.detach()

    def forward(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """Logits in float32 of uint8 images (n, height, width, 3), normalised here."""
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().sub_(self.mean).div_(self.std)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits: torch.Tensor = self.network(images)
        return logits.float()

    def evaluate(self) -> TopK:
        """Top-k of the held-out images, every one counted once."""
        self.network.eval()
        batches = iterate_batches([i.path for i in self.job.val], make_feed(self.job.recipe), 64, count_cores())
        with torch.inference_mode():
            logits = np.concatenate([self.forward(batch).numpy() for batch in batches])
        return TopK.of(rank_top(logits)[0], np.array([i.label for i in self.job.val]))

    def tell(self, step: int, loss: float, accuracy: float, images_per_s: float) -> None:
        """Report one step."""
        facts = {"loss": f"{loss:.3f}", "top-1": f"{accuracy:.1%}", "images/s": f"{images_per_s:.0f}"}
        self.progress(Update("train", step + 1, self.steps * self.settings.epochs, "steps", facts))
