"""What a training tells while it runs, and who may listen."""

from dataclasses import dataclass
from typing import Protocol

from seatrial.store.records import Epoch


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the optimiser, over all processes; a fact that is None was not known yet."""

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
    """Share of the step's images that the network had right; None where labels are mixed."""
    top5: float | None
    learning_rate: float
    data_s: float
    """Waited for images, the longest of all processes."""
    compute_s: float
    """Everything else."""

    @property
    def images_per_s(self) -> float:
        """Of this step, waiting included."""
        return self.images / (self.data_s + self.compute_s)


class Listener(Protocol):
    """Whoever keeps what a training tells; only the first process of a training has any."""

    def on_step(self, step: Step) -> None:
        """Every step, in order; after a resume the steps since the snapshot come again."""
        ...

    def on_epoch(self, epoch: Epoch) -> None:
        """After the validation that ends an epoch."""
        ...

    def close(self) -> None:
        """The training ended, whole or not."""
        ...
