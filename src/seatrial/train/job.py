"""What a training is given: its images, where its snapshots go, and who is told."""

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
    """What to train on, where snapshots go, and who is told."""

    recipe: Recipe
    loader: Batches
    val: Sequence[LabelledImage]
    """Empty: there is no validation."""
    key: str
    """What identifies this training."""
    folder: Path | None
    """Of the snapshots; None keeps none."""
    mix: Mixing | None = None
    listeners: Sequence[Listener] = ()
    """On the first process."""
    keepers: Sequence[Callable[[Snapshot], None]] = ()
    """Given the state after every epoch, on the first process."""
