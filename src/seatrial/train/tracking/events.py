"""What a training reports while it runs, who may listen, and what listeners know when they begin."""

from dataclasses import dataclass
from pathlib import Path

from seatrial.recipes.training import Train
from seatrial.store.training import Epoch


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the optimiser, over all processes."""

    step: int
    """From 1, over all epochs."""
    steps: int
    """Of the whole training."""
    epoch: int
    """From 1."""
    epoch_step: int
    """From 1, within the epoch."""
    epoch_steps: int
    images: int
    loss: float
    """Mean over the step's images."""
    top1: float | None
    """Share of the step's images that were predicted right; None where labels are mixed."""
    top5: float | None
    learning_rate: float
    data_s: float
    """Time spent waiting for images, the longest of all processes."""
    compute_s: float
    """The rest of the step's time."""

    @property
    def seconds(self) -> float:
        """Time of this step, waiting included."""
        return self.data_s + self.compute_s

    @property
    def images_per_s(self) -> float:
        """Rate of this step, waiting included."""
        return self.images / self.seconds


class Listener:
    """A log of a training, in the first process only; ignores what it does not override."""

    def on_step(self, step: Step) -> None:
        """Called for every step, in order; after a resume the steps since the snapshot come again."""

    def on_epoch(self, epoch: Epoch) -> None:
        """Called after the validation that ends an epoch."""

    def close(self) -> None:
        """Called when the training ends, finished or not."""


@dataclass(frozen=True, slots=True)
class LogJob:
    """The training that is logged, and where to."""

    output: Path
    recipe: str
    """Name of the card."""
    key: str
    """Identifies the training."""
    settings: Train
    step: int = 0
    """Steps done in the snapshot that the training resumes from; 0 is a new training."""
    epochs: int = 0
    """Whole epochs done in it, with their validation."""
    track: tuple[str, ...] = ()
    """Trackers: tensorboard, mlflow or both."""
    dllogger: bool = False
    guide_log: bool = False
    """Whether the guide's `train_N.log` is written."""
    device: str = "cpu"
    processes: int = 1
