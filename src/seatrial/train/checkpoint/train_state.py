"""Where a training stands: its place in the schedule, and what it came to so far."""

from dataclasses import dataclass, field
from typing import Any

from seatrial.store.records import Epoch
from seatrial.store.training import TrainingSpeed
from seatrial.train.tracking.events import Step

FIRST_STEPS = 10
"""Of each sitting, which are slower: memory is taken, kernels are chosen and compiled. The guides leave out as many."""


@dataclass(slots=True)
class Sums:
    """What the steps of an epoch came to."""

    loss: float = 0.0
    images: int = 0
    hits1: float = 0
    hits5: float = 0
    seconds: float = 0.0
    data_s: float = 0.0

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
class Pace:
    """Time and images of the steps that count, over all sittings."""

    images: int = 0
    steps: int = 0
    skipped_steps: int = 0
    seconds: float = 0.0
    data_s: float = 0.0

    def add(self, step: Step, sitting: int) -> None:
        """Count a step, the `sitting`-th since the training was begun or taken up."""
        if sitting <= FIRST_STEPS:
            self.skipped_steps += 1
            return
        self.images += step.images
        self.steps += 1
        self.seconds += step.data_s + step.compute_s
        self.data_s += step.data_s

    def to_speed(self) -> TrainingSpeed | None:
        """The figures of a record; None where no step counts."""
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
class Standing:
    """What changes while a training goes on, but for its tensors."""

    epoch: int = 0
    """Whole epochs done, each with its validation."""
    step: int = 0
    """Steps done of the one after them; all of them while it is validated."""
    sums: Sums = field(default_factory=Sums)
    epochs: tuple[Epoch, ...] = ()
    best_top1: float = 0.0
    """Of all validations."""
    pace: Pace = field(default_factory=Pace)
    resumed: int = 0

    def to_plain(self) -> dict[str, Any]:
        """Numbers and strings only."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "sums": {name: getattr(self.sums, name) for name in Sums.__slots__},
            "epochs": [epoch.model_dump() for epoch in self.epochs],
            "best_top1": self.best_top1,
            "pace": {name: getattr(self.pace, name) for name in Pace.__slots__},
            "resumed": self.resumed,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any], source: str) -> "Standing":
        """Read `to_plain`'s; raises KeyError, TypeError or UsageError if it is something else."""
        return cls(
            epoch=int(plain["epoch"]),
            step=int(plain["step"]),
            sums=Sums(**plain["sums"]),
            epochs=tuple(Epoch.read(epoch, source) for epoch in plain["epochs"]),
            best_top1=float(plain["best_top1"]),
            pace=Pace(**plain["pace"]),
            resumed=int(plain["resumed"]),
        )
