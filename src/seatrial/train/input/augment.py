"""Augmentation: a random crop, resized, perhaps mirrored, recoloured, warped and partly erased."""

import math
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.images import LabelledImage
from seatrial.data.preprocessing.decode import decode_array
from seatrial.data.preprocessing.steps import convert_channels, to_image, to_pixels
from seatrial.errors import DataError, RefusedFile
from seatrial.recipes.schema import Recipe
from seatrial.recipes.steps import Channels, Size
from seatrial.recipes.training import Train
from seatrial.train.input.trivial_augment import augment_trivially

RATIO = (3 / 4, 4 / 3)
ERASED_AREA = (0.02, 0.33)
ERASED_RATIO = (0.3, 3.3)
TRIES = 10

Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""


@dataclass(frozen=True, slots=True)
class DrawnImage:
    """An image of an epoch, with the seed of its augmentation."""

    image: LabelledImage
    key: tuple[int, int, int, int]
    """Seed, epoch, index and repetition: what is done to the image depends on these alone."""


@dataclass(frozen=True, slots=True)
class Augment:
    """Fills a batch's row with a drawn image, augmented as the settings say."""

    settings: Train
    size: Size
    """Height and width of what it fills."""
    colour: tuple[int, ...]
    """Of erased parts, 0..255: a level for each channel of the network."""
    channels: Channels | None = None
    """What the card does to the channels; images of a pack have it behind them."""

    @classmethod
    def of(cls, recipe: Recipe) -> "Augment":
        """That of a card, whose mean colour erased parts get."""
        settings, size = recipe.train, recipe.input_size
        colour = tuple(round(255 * value) for value in recipe.normalisation[0])
        channels = next((step for step in recipe.preprocess if isinstance(step, Channels)), None)
        return cls(settings, (settings.size, settings.size) if settings.size else size, colour, channels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of an image."""
        return (*self.size, len(self.colour))

    def __call__(self, row: NDArray[np.uint8], drawn: DrawnImage) -> None:
        """Fill `row`, (height, width, channels).

        Raises:
            DataError: the file is missing, damaged or no image.
        """
        rng, settings = np.random.default_rng(drawn.key), self.settings
        pixels = _read_repeated(drawn.image) if settings.repeats > 1 else read_pixels(drawn.image)
        left, top, right, bottom = draw_crop(pixels.shape[1], pixels.shape[0], settings.min_scale, rng)
        # Cut before Pillow takes its copy of the pixels: half of them are never copied.
        image = to_image(pixels[top:bottom, left:right])
        image = image.resize((self.size[1], self.size[0]), Image.Resampling.BILINEAR)
        if settings.flip and rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if settings.augment == "trivial":
            image = augment_trivially(image, rng)
        if self.channels is not None and drawn.image.prepared is None:
            image = convert_channels(image, self.channels)
        row[:] = to_pixels(image)
        if settings.random_erasing and rng.random() < settings.random_erasing:
            left, top, right, bottom = draw_erased(self.size[1], self.size[0], rng)
            row[top:bottom, left:right] = self.colour


def read_pixels(image: LabelledImage) -> NDArray[np.uint8]:
    """RGB pixels (height, width, 3) of an image file, or an image of a pack as it is.

    Raises:
        DataError: the file is missing, damaged or no image.
    """
    try:
        data = image.read()
    except RefusedFile as error:
        raise DataError(error.problem, error.fix) from None
    if image.prepared is None:
        return decode_array(data, str(image))
    return np.frombuffer(data, np.uint8).reshape(image.prepared.shape)


class _Last(threading.local):
    """The image that a thread decoded last."""

    image: LabelledImage | None = None
    pixels: NDArray[np.uint8] | None = None


_last = _Last()


def _read_repeated(image: LabelledImage) -> NDArray[np.uint8]:
    """As `read_pixels`, but an image that is repeated in a row is decoded once."""
    if _last.pixels is None or _last.image != image:
        _last.pixels, _last.image = read_pixels(image), image
    return _last.pixels


def draw_crop(width: int, height: int, min_scale: float, rng: np.random.Generator) -> Box:
    """A random crop with torchvision's `RandomResizedCrop` distribution.

    Area uniform in `min_scale`..1 of the image's, aspect log-uniform in 3/4..4/3; after ten crops that do not fit,
    the largest centre crop with an aspect in that range.
    """
    for _ in range(TRIES):
        w, h = _draw_sides(width * height, (min_scale, 1), RATIO, rng)
        if 0 < w <= width and 0 < h <= height:
            return _place(w, h, width, height, rng)
    aspect = min(max(width / height, RATIO[0]), RATIO[1])
    w, h = min(width, round(height * aspect)), min(height, round(width / aspect))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def draw_erased(width: int, height: int, rng: np.random.Generator) -> Box:
    """What to erase, with torchvision's `RandomErasing` distribution: an empty box after ten that do not fit.

    Area uniform in 0.02..0.33 of the image's, height over width log-uniform in 0.3..3.3.
    """
    for _ in range(TRIES):
        h, w = _draw_sides(width * height, ERASED_AREA, ERASED_RATIO, rng)
        if h < height and w < width:
            return _place(w, h, width, height, rng)
    return 0, 0, 0, 0


def _draw_sides(
    area: int, scale: tuple[float, float], ratio: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int]:
    """Two sides of a rectangle: its area a share of `area`, the first over the second within `ratio`."""
    part = area * rng.uniform(*scale)
    aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
    return round(math.sqrt(part * aspect)), round(math.sqrt(part / aspect))


def _place(w: int, h: int, width: int, height: int, rng: np.random.Generator) -> Box:
    """A box of that size at a uniformly random position."""
    left, top = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    return left, top, left + w, top + h
