"""What a training is given: its images, where its snapshots go, and who is told."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seatrial.data.labels import LabelledImage
from seatrial.errors import UsageError
from seatrial.recipes.schema import Recipe
from seatrial.recipes.training import Train
from seatrial.train.events import Listener
from seatrial.train.snapshot import Snapshot
from seatrial.train.step import Mixing
from seatrial.train.world import World


class Batch(Protocol):
    """This process's images of a step."""

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(n, height, width, 3), valid until the next batch is asked for."""
        ...

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,)."""
        ...

    @property
    def images(self) -> Sequence[LabelledImage]:
        """Where they came from."""
        ...


class Loader(Protocol):
    """The input pipeline of this process."""

    @property
    def steps(self) -> int:
        """Of an epoch."""
        ...

    @property
    def batch_size(self) -> int:
        """Images of a step, over all processes."""
        ...

    @property
    def bad(self) -> dict[str, str]:
        """Why an image was skipped, by id, as far as this process saw."""
        ...

    def epoch(self, number: int, first_step: int = 0) -> Generator[Batch]:
        """The batches of an epoch from a step on; whoever stops early closes it."""
        ...


@dataclass(frozen=True, slots=True)
class TrainJob:
    """What to train on, where snapshots go, and who is told."""

    recipe: Recipe
    loader: Loader
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


def count_steps(loader: Loader, settings: Train) -> int:
    """Steps of an epoch."""
    return min(loader.steps, settings.max_train_steps or loader.steps)


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
