"""Which images each step of an epoch has, and how many of them each process takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.errors import UsageError
from seatrial.recipes.training import Train
from seatrial.train.distributed.rank import RankInfo


@dataclass(frozen=True, slots=True)
class EpochSampler:
    """Shuffles a number of images for each epoch: by seed and epoch alone, whatever the number of processes."""

    images: int
    settings: Train

    @property
    def batch_size(self) -> int:
        """Images of a step, over all processes."""
        return min(self.settings.batch_size, self.images)

    @property
    def steps(self) -> int:
        """Steps of an epoch; images that fill no batch are dropped, as BatchNorm needs full ones."""
        steps = self.images // self.batch_size
        return min(steps, self.settings.max_train_steps or steps)

    def draw(self, epoch: int) -> NDArray[np.int64]:
        """Index and repetition (0 is the first) of each image of an epoch, (images, 2).

        With `repeats` the repetitions of an image follow each other, so that each process gets another crop of it, and
        an epoch has fewer images, so that its length stays the same: torchvision's `RASampler`.
        """
        repeats = self.settings.repeats
        shuffled = np.random.default_rng([self.settings.seed, epoch]).permutation(self.images)
        chosen = shuffled[: -(-self.images // repeats)]
        repeated = np.stack([np.repeat(chosen, repeats), np.tile(np.arange(repeats), len(chosen))], axis=1)
        return repeated[: self.images]

    def count_local(self, rank: RankInfo) -> int:
        """Images of a step that a process takes.

        Raises:
            UsageError: some process would have none.
        """
        if self.batch_size < rank.size:
            raise UsageError(
                f"a step of {self.batch_size} images cannot be split over {rank.size} processes",
                "give a larger --batch-size or fewer processes",
            )
        return len(range(self.batch_size)[rank.stride])


def check_parts(settings: Train, batch_size: int, processes: int, has_batch_norm: bool) -> None:
    """Refuse a batch size that leaves a part of a step without an image, or BatchNorm with one.

    Raises:
        UsageError: names the images of each part.
    """
    least = batch_size // processes // settings.accumulate
    if least >= (2 if has_batch_norm else 1):
        return
    parts = f"{processes} processes × {settings.accumulate} (--accumulate)"
    needs = ", and BatchNorm needs 2" if has_batch_norm else ""
    raise UsageError(
        f"a step of {batch_size} images over {parts} leaves {least} each{needs}", "give a larger --batch-size"
    )
