"""Where a training is: its position in the schedule, and the sums of its figures so far."""

from dataclasses import asdict, dataclass, field
from typing import Any

from seatrial.store.training import Epoch, TrainingSpeed
from seatrial.train.tracking.events import Step

WARMUP_STEPS = 10
"""First steps that are not timed, as in the guides: memory is allocated, kernels are chosen and compiled in them."""


@dataclass(slots=True)
class EpochSums:
    """Sums over the steps of an epoch."""

    loss: float = 0.0
    images: int = 0
    hits1: float = 0
    hits5: float = 0
    seconds: float = 0.0
    data_s: float = 0.0

    def add(self, step: Step, loss: float, hits1: float, hits5: float) -> None:
        """Add a step, with its sum of losses and its hits."""
        self.loss, self.images = self.loss + loss, self.images + step.images
        self.hits1, self.hits5 = self.hits1 + hits1, self.hits5 + hits5
        self.seconds, self.data_s = self.seconds + step.seconds, self.data_s + step.data_s

    def to_epoch(self, number: int, learning_rate: float, mixed: bool) -> Epoch:
        """The record of epoch `number`, from 1, not yet validated."""
        return Epoch(
            epoch=number,
            loss=self.loss / self.images,
            train_top1=None if mixed else self.hits1 / self.images,
            train_top5=None if mixed else self.hits5 / self.images,
            val_top1=None,
            learning_rate=learning_rate,
            images_per_s=self.images / self.seconds,
            seconds=self.seconds,
            data_s=self.data_s,
        )


@dataclass(slots=True)
class SpeedSums:
    """Sums over the timed steps of all attempts."""

    images: int = 0
    steps: int = 0
    skipped_steps: int = 0
    seconds: float = 0.0
    data_s: float = 0.0
    setup: str = ""
    """What they were timed on; empty in snapshots of earlier versions."""

    def add(self, step: Step, number: int) -> None:
        """Count a step, which is number `number` of this attempt, from 1."""
        if number <= WARMUP_STEPS:
            self.skipped_steps += 1
            return
        self.images, self.steps = self.images + step.images, self.steps + 1
        self.seconds, self.data_s = self.seconds + step.seconds, self.data_s + step.data_s

    def resume_on(self, setup: str) -> "SpeedSums":
        """These sums, or new ones where they were timed on something else: no rate is the mean of two devices."""
        return self if self.setup == setup else SpeedSums(setup=setup)

    def to_speed(self) -> TrainingSpeed | None:
        """The figures of a record; None where no step was timed."""
        if self.steps == 0:
            return None
        return TrainingSpeed(
            images_per_s=self.images / self.seconds,
            steps=self.steps,
            skipped_steps=self.skipped_steps,
            seconds=self.seconds,
            data_s=self.data_s,
        )


@dataclass(slots=True)
class TrainState:
    """What changes during a training, apart from its tensors."""

    epoch: int = 0
    """Whole epochs done, each with its validation."""
    step: int = 0
    """Steps done of the epoch after them; all of them while it is validated."""
    sums: EpochSums = field(default_factory=EpochSums)
    epochs: tuple[Epoch, ...] = ()
    best_top1: float = 0.0
    """The best of all validations."""
    pace: SpeedSums = field(default_factory=SpeedSums)
    resumed: int = 0

    def state_dict(self) -> dict[str, Any]:
        """The same as numbers, strings, lists and dicts."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "sums": asdict(self.sums),
            "epochs": [epoch.model_dump() for epoch in self.epochs],
            "best_top1": self.best_top1,
            "pace": asdict(self.pace),
            "resumed": self.resumed,
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any], source: str) -> "TrainState":
        """Read what `state_dict` gave; raises KeyError, TypeError or UsageError if it is something else."""
        return cls(
            epoch=int(state["epoch"]),
            step=int(state["step"]),
            sums=EpochSums(**state["sums"]),
            epochs=tuple(Epoch.read(epoch, source) for epoch in state["epochs"]),
            best_top1=float(state["best_top1"]),
            pace=SpeedSums(**state["pace"]),
            resumed=int(state["resumed"]),
        )
