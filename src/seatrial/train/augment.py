"""What training does to an image: a random crop, resized, perhaps mirrored."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.decode import read_image
from seatrial.recipes.schema import Recipe

RATIO = (3 / 4, 4 / 3)
TRIES = 10

Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""


def draw_crop(width: int, height: int, min_scale: float, rng: np.random.Generator) -> Box:
    """A random crop with torchvision's `RandomResizedCrop` distribution.

    Area uniform in `min_scale`..1 of the image's, aspect log-uniform in 3/4..4/3; after ten crops that do not fit,
    the largest centre crop with an aspect in that range.
    """
    for _ in range(TRIES):
        area = width * height * rng.uniform(min_scale, 1)
        aspect = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
            return left, top, left + w, top + h
    aspect = min(max(width / height, RATIO[0]), RATIO[1])
    w, h = min(width, round(height * aspect)), min(height, round(width / aspect))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def load_augmented(path: Path, recipe: Recipe, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One training image at the network's input size, (height, width, 3).

    Raises:
        DataError: the file is no image.
    """
    height, width = recipe.input_size
    image = read_image(path)
    box = draw_crop(image.width, image.height, recipe.train.min_scale, rng)
    pixels = np.asarray(image.crop(box).resize((width, height), Image.Resampling.BILINEAR))
    return pixels[:, ::-1] if recipe.train.flip and rng.random() < 0.5 else pixels
