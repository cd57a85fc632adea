"""What a training is given: its images, where its snapshots go, and who is told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.data.labels import LabelledImage
from seatrial.errors import UsageError
from seatrial.recipes.schema import Recipe
from seatrial.recipes.training import Train
from seatrial.train.batches import Batches
from seatrial.train.events import Listener
from seatrial.train.snapshot import Snapshot
from seatrial.train.step import Mixing
from seatrial.train.world import World


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


def check_parts(settings: Train, batch_size: int, world: World, has_batch_norm: bool) -> None:
    """Refuse a step that leaves a process less than its network can do something with.

    Raises:
        UsageError: says how many images each part of a step would have.
    """
    least = batch_size // world.size // settings.accumulate
    if least >= (2 if has_batch_norm else 1):
        return
    parts = f"{settings.accumulate} parts on each of {world.size} processes"
    needs = ", and BatchNorm needs 2" if has_batch_norm else ""
    raise UsageError(
        f"{batch_size} images a step in {parts} leave {least} for each{needs}", "take a larger --batch-size"
    )
