"""The one definition of what a card's preprocessing steps do to pixels.

Resizing is Pillow's, with torchvision's arithmetic around it; `export.fuse_preprocess` writes the tail into graphs.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.decode import POLICY
from seatrial.recipes.schema import CenterCrop, Mode, Recipe, Resize, Step
from seatrial.store.files import hash_value

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def hash_preprocess(recipe: Recipe | Mode) -> str:
    """What identifies a preprocessing: the sha256 of its steps in order and of how files become pixels."""
    steps = [step.model_dump(mode="json", exclude_none=True) for step in recipe.preprocess]
    return hash_value({"decode": POLICY, "steps": steps})


def apply_pixel_steps(image: Image.Image, steps: Sequence[Step]) -> NDArray[np.uint8]:
    """Resize and crop one RGB image as the card says.

    Returns:
        RGB pixels, (height, width, 3).
    """
    for step in steps:
        if isinstance(step, Resize):
            image = resize(image, step)
        elif isinstance(step, CenterCrop):
            image = center_crop(image, step)
    return np.asarray(image)


def resize(image: Image.Image, step: Resize) -> Image.Image:
    """Resize to `step.size`, or so that the short side is `step.short_side`.

    The long side is truncated, and an image whose short side fits is left alone: torchvision's
    `_compute_resized_output_size`.
    """
    width, height = image.size
    if step.size is not None:
        target = (step.size[1], step.size[0])
    elif step.short_side is not None:
        short, long = step.short_side, int(step.short_side * max(width, height) / min(width, height))
        target = (short, long) if width <= height else (long, short)
    if target == image.size:
        return image
    # Rows first, then columns, as Pillow always did; from 13.0 on it would take the cheaper order, and that moves up
    # to a seventh of the values by a level (python-pillow/Pillow#9549).
    kind = _FILTERS[step.interpolation]
    return image.resize((target[0], image.height), kind).resize(target, kind)


def center_crop(image: Image.Image, step: CenterCrop) -> Image.Image:
    """Cut the middle `step.size` out; where the image is smaller, black is put around it evenly."""
    height, width = step.size
    spare_width, spare_height = image.width - width, image.height - height
    if spare_width < 0 or spare_height < 0:
        image = _pad(image, max(0, -spare_width), max(0, -spare_height))
        spare_width, spare_height = image.width - width, image.height - height
    left, top = (round(s / 2) if step.offset == "half_even" else s // 2 for s in (spare_width, spare_height))
    return image.crop((left, top, left + width, top + height))


def _pad(image: Image.Image, width: int, height: int) -> Image.Image:
    black = (0, 128, 128) if image.mode == "YCbCr" else (0, 0, 0)
    padded = Image.new(image.mode, (image.width + width, image.height + height), black)
    padded.paste(image, (width // 2, height // 2))
    return padded


def normalise(pixels: NDArray[np.uint8], recipe: Recipe | Mode) -> NDArray[np.float32]:
    """The steps after the pixel steps: to 0..1, minus mean, over standard deviation, channels first.

    Args:
        pixels: (n, height, width, 3).

    Returns:
        (n, 3, height, width).
    """
    mean, std = (np.asarray(values, dtype=np.float32) for values in recipe.normalisation)
    count, height, width, channels = pixels.shape
    made = np.empty((count, channels, height, width), dtype=np.float32)
    # One plane at a time and in place: the plane stays in the cache, which is four times as fast as whole arrays.
    for image, planes in zip(pixels, made, strict=True):
        for channel, plane in enumerate(planes):
            plane[:] = image[:, :, channel]
            plane /= np.float32(255)
            plane -= mean[channel]
            plane /= std[channel]
    return made
