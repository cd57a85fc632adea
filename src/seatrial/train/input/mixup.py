"""Batches whose images are mixed with each other: MixUp and CutMix, torchvision's."""

from torchvision.transforms import v2

from seatrial.recipes.training import Train
from seatrial.train.train_step import Mixing


def make_mixing(settings: Train, classes: int) -> Mixing | None:
    """MixUp, CutMix, or for each batch one of them at random; None if the settings mix nothing.

    Each image of a batch is mixed with the one before it, and their labels alike.
    """
    alphas = ((v2.MixUp, settings.mixup), (v2.CutMix, settings.cutmix))
    transforms = [transform(alpha=alpha, num_classes=classes) for transform, alpha in alphas if alpha > 0]
    return v2.RandomChoice(transforms) if transforms else None
