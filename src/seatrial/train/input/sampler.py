"""Which images the steps of an epoch have, and which of them a process takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.errors import UsageError
from seatrial.recipes.training import Train


@dataclass(frozen=True, slots=True)
class Share:
    """The part of each step's images that one of several processes takes."""

    rank: int = 0
    """From 0."""
    size: int = 1
    """Processes."""

    def take(self, step: NDArray[np.int64]) -> NDArray[np.int64]:
        """The process's part of a step's images (n, …): together the processes take each once."""
        return step[self.rank :: self.size]


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a number of images: it follows from seed and epoch, whatever the processes."""

    images: int
    settings: Train

    @property
    def batch_size(self) -> int:
        """Images of a step, over all processes."""
        return min(self.settings.batch_size, self.images)

    @property
    def steps(self) -> int:
        """Of an epoch; what is left over after the last full batch is dropped, as BatchNorm wants."""
        steps = self.images // self.batch_size
        return min(steps, self.settings.max_train_steps or steps)

    def draw(self, epoch: int) -> NDArray[np.int64]:
        """Index and repetition (0 is the first) of each image of an epoch, (images, 2).

        With `repeats` an image follows itself, so that each process gets another crop of it, and only so many images
        come as leave the epoch its length: torchvision's `RASampler`.
        """
        repeats = self.settings.repeats
        shuffled = np.random.default_rng([self.settings.seed, epoch]).permutation(self.images)
        chosen = shuffled[: -(-self.images // repeats)]
        repeated = np.stack([np.repeat(chosen, repeats), np.tile(np.arange(repeats), len(chosen))], axis=1)
        return repeated[: self.images]

    def count_share(self, share: Share) -> int:
        """Images of a step that a process takes.

        Raises:
            UsageError: some process would have none.
        """
        if self.batch_size < share.size:
            raise UsageError(
                f"a step of {self.batch_size} images cannot be shared by {share.size} processes",
                "give a larger --batch-size or fewer processes",
            )
        return -(-(self.batch_size - share.rank) // share.size)


def check_parts(settings: Train, batch_size: int, processes: int, has_batch_norm: bool) -> None:
    """Refuse a step that leaves a process less than its network can do something with.

    Raises:
        UsageError: says how many images each part of a step would have.
    """
    least = batch_size // processes // settings.accumulate
    if least >= (2 if has_batch_norm else 1):
        return
    parts = f"{processes} processes × {settings.accumulate} (--accumulate)"
    needs = ", and BatchNorm needs 2" if has_batch_norm else ""
    raise UsageError(f"{batch_size} images a step over {parts} leave {least} each{needs}", "take a larger --batch-size")
