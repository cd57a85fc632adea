"""TrivialAugmentWide (https://arxiv.org/abs/2103.10158): one operation of fourteen, of a random strength.

Operations, strengths and pixels are those of torchvision's `TrivialAugmentWide` on Pillow images. They are Pillow's own
functions here, so that decoding processes need no torch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

STRENGTHS = 31


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What may be done to an image, and how strongly."""

    apply: Callable[[Image.Image, float], Image.Image]
    strengths: tuple[float, ...] = (0.0,)
    signed: bool = False
    """Half of the strengths are negative."""


def augment_trivially(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """An RGB or grey image after one operation; the same image where that does nothing."""
    operation = _ALL[rng.integers(len(_ALL))]
    strength = operation.strengths[rng.integers(len(operation.strengths))]
    if operation.signed and rng.integers(2):
        strength = -strength
    return operation.apply(image, strength)


def _spread(first: float, last: float) -> tuple[float, ...]:
    """Evenly spaced as `torch.linspace` rounds: in single precision, from both ends to the middle."""
    step = float((np.float32(last) - np.float32(first)) / np.float32(STRENGTHS - 1))
    rising = [float(np.float32(first)) + step * i for i in range(STRENGTHS // 2)]
    falling = [float(np.float32(last)) - step * i for i in range(STRENGTHS - STRENGTHS // 2)]
    return tuple(float(np.float32(value)) for value in (*rising, *reversed(falling)))


def _bend(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    """The image whose pixel (x, y) is that at (ax + by + c, dx + ey + f) of the old one, and black beyond it."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=0)


def _shear(strength: float) -> float:
    # As torchvision gets there, by way of degrees: otherwise some pixels at the edge of another would be that one.
    return math.tan(math.radians(math.degrees(math.atan(strength))))


OPERATIONS = {
    "Identity": Augmentation(lambda image, _: image),
    "ShearX": Augmentation(lambda image, s: _bend(image, (1, _shear(s), 0, 0, 1, 0)), _spread(0, 0.99), True),
    "ShearY": Augmentation(lambda image, s: _bend(image, (1, 0, 0, _shear(s), 1, 0)), _spread(0, 0.99), True),
    "TranslateX": Augmentation(lambda image, s: _bend(image, (1, 0, -int(s), 0, 1, 0)), _spread(0, 32), True),
    "TranslateY": Augmentation(lambda image, s: _bend(image, (1, 0, 0, 0, 1, -int(s))), _spread(0, 32), True),
    "Rotate": Augmentation(lambda image, s: image.rotate(s, fillcolor=0), _spread(0, 135), True),
    "Brightness": Augmentation(lambda image, s: ImageEnhance.Brightness(image).enhance(1 + s), _spread(0, 0.99), True),
    "Color": Augmentation(lambda image, s: ImageEnhance.Color(image).enhance(1 + s), _spread(0, 0.99), True),
    "Contrast": Augmentation(lambda image, s: ImageEnhance.Contrast(image).enhance(1 + s), _spread(0, 0.99), True),
    "Sharpness": Augmentation(lambda image, s: ImageEnhance.Sharpness(image).enhance(1 + s), _spread(0, 0.99), True),
    "Posterize": Augmentation(
        lambda image, s: ImageOps.posterize(image, int(s)), tuple(8.0 - round(i / 5) for i in range(STRENGTHS))
    ),
    "Solarize": Augmentation(lambda image, s: ImageOps.solarize(image, s), _spread(255, 0)),  # type: ignore[arg-type]
    "AutoContrast": Augmentation(lambda image, _: ImageOps.autocontrast(image)),
    "Equalize": Augmentation(lambda image, _: ImageOps.equalize(image)),
}
"""By torchvision's names; strengths are angles (degrees), lengths (pixels), changes of a factor 1, bits or levels."""

_ALL = tuple(OPERATIONS.values())
