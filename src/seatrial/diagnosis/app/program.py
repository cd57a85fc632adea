"""A card's pipeline with every part exchangeable: what a program does that is the card's, but for some faults."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from seatrial.data.preprocessing.decode import decode_image
from seatrial.data.preprocessing.steps import apply_pixel_steps, center_crop, find_target, to_image, to_pixels
from seatrial.recipes.schema import Recipe
from seatrial.recipes.steps import AnyPixelStep, CenterCrop, PerChannel, Resize, pixel_steps

Levels = NDArray[np.float32]
"""Pixels (n, height, width, channels) on the scale 0..255."""
Decoder = Callable[[bytes, Image.Image], Image.Image | None]
"""Bytes of a file, and the file as Pillow opened it, to RGB; None where it does as the card does."""
Weigh = Callable[[int, int], NDArray[np.float64]]
"""From numbers of lines to what each line made (rows) takes of each line that there was (columns)."""
Scale = Callable[[Levels, Levels, Levels], Levels]
"""Levels, mean and standard deviation on the 0..1 scale to what a network is given, in the same shape."""
Arrange = Callable[[NDArray[np.int64]], NDArray[np.int64]]
"""Moves values of an image (channels, height, width)."""


@dataclass(frozen=True, slots=True)
class Program:
    """What somebody's program does with an image file."""

    recipe: Recipe
    steps: tuple[AnyPixelStep, ...]
    decoders: tuple[Decoder, ...] = ()
    """The first that decodes a file counts."""
    turns: bool = False
    """Applies the orientation in EXIF."""
    square: bool = False
    """Cuts out the centred square of each image first."""
    weigh: Weigh | None = None
    """In the place of the resize's own filter."""
    columns_first: bool = False
    shift: tuple[int, int] = (0, 0)
    """Rows down and columns to the right that a crop lies off."""
    corner: bool = False
    """Crops at the top left."""
    colours: tuple[Callable[[Levels], Levels], ...] = ()
    scale: Scale | None = None
    """None: as the card says."""
    round: Callable[[Levels], Levels] | None = None
    arrange: tuple[Arrange, ...] = ()

    def decode(self, data: bytes, name: str) -> Image.Image:
        """The bytes of an image file as RGB."""
        image = self._decode(data, name)
        if not self.turns:
            return image
        with Image.open(io.BytesIO(data)) as opened:
            image.getexif()[0x0112] = opened.getexif().get(0x0112, 1)
        return ImageOps.exif_transpose(image)

    def _decode(self, data: bytes, name: str) -> Image.Image:
        for decoder in self.decoders:
            with Image.open(io.BytesIO(data)) as opened:
                decoded = decoder(data, opened)
            if decoded is not None:
                return decoded
        return decode_image(data, name)

    def make_pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """A decoded image, resized and cropped: (height, width, channels)."""
        return self.make_each_step(image)[-1]

    def make_each_step(self, image: Image.Image) -> list[NDArray[np.uint8]]:
        """The pixels of `make_pixels` after each step."""
        if self.square:
            side = min(image.size)
            image = center_crop(image, CenterCrop(step="center_crop", size=(side, side)))
        made = []
        for step in self.steps:
            image = self._apply(image, step)
            made.append(to_pixels(image))
        return made

    def _apply(self, image: Image.Image, step: AnyPixelStep) -> Image.Image:
        if isinstance(step, Resize) and self.weigh is not None:
            return _resample(image, find_target(image.size, step), self.weigh)
        if isinstance(step, Resize) and self.columns_first and step.interpolation != "nearest":
            target, kind = find_target(image.size, step), Image.Resampling[step.interpolation.upper()]
            return image.resize((image.width, target[1]), kind).resize(target, kind)
        if isinstance(step, CenterCrop) and step.size is not None:
            if self.corner:
                return image.crop((0, 0, step.size[1], step.size[0]))
            return center_crop(_move(image, *self.shift), step)
        return to_image(apply_pixel_steps(image, (step,)))

    def finish(self, levels: Levels) -> Levels:
        """Pixels (n, height, width, channels), as the program's network is given them, but for `arrange`."""
        for recolour in self.colours:
            levels = recolour(levels)
        mean, std = (np.asarray(triple, dtype=np.float32) for triple in self.recipe.normalisation)
        made = (self.scale or scale_right)(levels, mean, std)
        return made if self.round is None else self.round(made)

    def find_gain(self) -> Levels:
        """What one level is in what the network is given, by channel; the card's own where the scale is not even."""
        channels = self.recipe.channels
        black, white = np.zeros((1, 1, 1, channels), np.float32), np.full((1, 1, 1, channels), 100, np.float32)
        mean, std = (np.asarray(triple, dtype=np.float32) for triple in self.recipe.normalisation)
        scale = self.scale or scale_right
        gain: Levels = np.abs(scale(white, mean, std) - scale(black, mean, std)).ravel() / 100
        return gain

    def find_sources(self) -> NDArray[np.int64] | None:
        """For each value of an image, flat as (channels, height, width), which one stands there; None: itself."""
        if not self.arrange:
            return None
        shape = (self.recipe.channels, *self.recipe.input_size)
        places = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
        for arrange in self.arrange:
            places = arrange(places)
        return places.ravel()


def make_sound(recipe: Recipe) -> Program:
    """The card's own pipeline."""
    return Program(recipe, pixel_steps(recipe.preprocess))


def make_tensors(program: Program, files: Sequence[tuple[str, bytes]]) -> NDArray[np.float32]:
    """What the program's network is given of image files (name, bytes): (n, channels, height, width)."""
    pixels = np.stack([program.make_pixels(program.decode(data, name)) for name, data in files])
    made = program.finish(pixels.astype(np.float32)).transpose(0, 3, 1, 2)
    sources = program.find_sources()
    flat = made.reshape(len(files), -1)
    return np.ascontiguousarray((flat if sources is None else flat[:, sources]).reshape(made.shape), dtype=np.float32)


def scale_right(levels: Levels, mean: Levels, std: Levels) -> Levels:
    """To 0..1, minus mean, over standard deviation, as `data.preprocessing.steps.normalise` does it."""
    scaled: Levels = (levels / np.float32(255) - mean) / std
    return scaled


def scale_by(mean: PerChannel, std: PerChannel) -> Scale:
    """Scale with another mean and standard deviation."""
    triples = np.asarray(mean, dtype=np.float32), np.asarray(std, dtype=np.float32)
    return lambda levels, _mean, _std: scale_right(levels, *triples)


def _resample(image: Image.Image, target: tuple[int, int], weigh: Weigh) -> Image.Image:
    pixels = to_pixels(image).astype(np.float32)
    height, width, _ = pixels.shape
    rows, columns = (weigh(*pair).astype(np.float32) for pair in ((height, target[1]), (width, target[0])))
    made = np.einsum("rh,hwc->rwc", rows, pixels, optimize=True)
    made = np.einsum("cw,rwk->rck", columns, made, optimize=True)
    return to_image(np.rint(made).clip(0, 255).astype(np.uint8))


def _move(image: Image.Image, down: int, right: int) -> Image.Image:
    """The image so that a crop of its middle lies further down and right; lines beyond an edge are the edge's."""
    if not down and not right:
        return image
    pixels = np.pad(to_pixels(image), ((2, 2), (2, 2), (0, 0)), mode="edge")
    moved = pixels[2 + down : pixels.shape[0] - 2 + down, 2 + right : pixels.shape[1] - 2 + right]
    return to_image(np.ascontiguousarray(moved))
