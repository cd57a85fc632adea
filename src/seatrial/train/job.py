"""What a training needs: its images, where its snapshots go, and its logs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.data.images import LabelledImage
from seatrial.recipes.schema import Recipe
from seatrial.train.checkpoint.snapshot import Snapshot
from seatrial.train.input.loader import Batches
from seatrial.train.tracking.events import Listener
from seatrial.train.train_step import Mixing


@dataclass(frozen=True, slots=True)
class TrainJob:
    """What to train on, where snapshots go, and who logs it."""

    recipe: Recipe
    loader: Batches
    val: Sequence[LabelledImage]
    """The held-out images; without any there is no validation."""
    key: str
    """Identifies this training."""
    folder: Path | None
    """Where snapshots go; None writes none."""
    mix: Mixing | None = None
    listeners: Sequence[Listener] = ()
    """Logs, on the first process."""
    epoch_hooks: Sequence[Callable[[Snapshot], None]] = ()
    """Called with the state after every epoch, on the first process."""
