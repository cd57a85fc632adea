"""Batches whose images are mixed with each other: MixUp and CutMix, torchvision's."""

import torch
from torchvision.transforms import v2

from seatrial.recipes.training import Train


class Mix:
    """Mixes each image of a batch with the one before it, and their labels alike."""

    def __init__(self, settings: Train, classes: int) -> None:
        """Take MixUp or CutMix, or for each batch one of them at random; with neither asked for, nothing is mixed."""
        asked = ((v2.MixUp, settings.mixup), (v2.CutMix, settings.cutmix))
        self._ways = [way(alpha=alpha, num_classes=classes) for way, alpha in asked if alpha > 0]
        self._mix = v2.RandomChoice(self._ways) if self._ways else None

    def __bool__(self) -> bool:
        """Whether anything is mixed."""
        return self._mix is not None

    def __call__(
        self, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mixed images (n, 3, height, width) and soft labels (n, classes); what came in if nothing is mixed.

        Args:
            images: floats.
            labels: classes (n,).
            generator: on the CPU; torch's own unless given.
        """
        if self._mix is None:
            return images, labels
        if generator is None:
            mixed, soft = self._mix(images, labels)
            return mixed, soft
        # torchvision draws from torch's own generator, so that one lends it its state.
        own = torch.get_rng_state()
        try:
            torch.set_rng_state(generator.get_state())
            mixed, soft = self._mix(images, labels)
            generator.set_state(torch.get_rng_state())
            return mixed, soft
        finally:
            torch.set_rng_state(own)
