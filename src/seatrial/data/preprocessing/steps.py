"""The one definition of what a card's preprocessing steps do to pixels.

Resizing is Pillow's, with torchvision's arithmetic around it; `export.fuse_preprocess` writes the tail into graphs.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import assert_never

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.preprocessing.decode import POLICY, wrap_pixels
from seatrial.data.preprocessing.tensor_resize import make_grey_as_tensor, resize_as_tensor
from seatrial.errors import DataError
from seatrial.recipes.schema import Preprocessing
from seatrial.recipes.steps import (
    AnyPixelStep,
    CenterCrop,
    Channels,
    Colour,
    Pad,
    Resize,
    Step,
    dump_steps,
    join_size,
    pixel_steps,
)
from seatrial.store.files import hash_value

_BLACK = (0, 0, 0)
_SUPPORT = {"box": 0.5, "bilinear": 1.0, "hamming": 1.0, "bicubic": 2.0, "lanczos": 3.0}
"""How far Pillow's filters reach (`Resample.c`), in lines of the smaller of the two images."""


def hash_steps(steps: Sequence[Step]) -> str:
    """What identifies a preprocessing: the sha256 of its steps in order and of how files become pixels."""
    return hash_value({"decode": POLICY, "steps": dump_steps(steps)})


def apply_pixel_steps(image: Image.Image | NDArray[np.uint8], steps: Sequence[Step]) -> NDArray[np.uint8]:
    """Resize and crop one RGB image, or pixels as of `data.preprocessing.decode.decode_either`, as the card says.

    Returns:
        Pixels, (height, width, channels).

    Raises:
        DataError: the image is larger than a pad step.
    """
    todo = pixel_steps(steps)
    if not isinstance(image, Image.Image):
        image, todo = _begin(image, todo)
    for step, following in itertools.zip_longest(todo, todo[1:]):
        image = _apply(image, step, following)
    return to_pixels(image)


def _begin(pixels: NDArray[np.uint8], steps: tuple[AnyPixelStep, ...]) -> tuple[Image.Image, tuple[AnyPixelStep, ...]]:
    """Pixels as an image, and the steps left; rows of which a first resize needs nothing are not even copied."""
    if len(steps) < 2 or not isinstance(steps[0], Resize) or not isinstance(steps[1], CenterCrop):
        return to_image(pixels), steps
    whole = pixels.shape[1], pixels.shape[0]
    rows = find_rows(whole, steps[0], steps[1])
    return resize(to_image(pixels[rows.start : rows.stop]), steps[0], steps[1], (rows.start, whole[1])), steps[1:]


def trace_pixel_steps(image: Image.Image, steps: Sequence[Step]) -> Iterator[tuple[AnyPixelStep, Image.Image]]:
    """Each pixel step and what it makes of the image, whole: also what the next one will cut off.

    The last one's pixels are those of `apply_pixel_steps`.

    Raises:
        DataError: as `apply_pixel_steps`.
    """
    for step in pixel_steps(steps):
        image = _apply(image, step, None)
        yield step, image


def to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of an image, (height, width, channels); Pillow's own of a grey one have two axes."""
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def to_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """The image of pixels (height, width, channels); of four, the last has no meaning (`decode.wrap_pixels`)."""
    if pixels.shape[2] == 4:
        return wrap_pixels(pixels)
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])


def convert_channels(image: Image.Image, step: Channels) -> Image.Image:
    """An RGB image with red and blue swapped, or in grey; what is grey stays."""
    if step.order == "BGR":
        return Image.merge(image.mode, image.split()[::-1])
    if image.mode == "L":
        return image
    if step.backend == "tensor":
        return Image.fromarray(make_grey_as_tensor(np.asarray(image)))
    return image.convert("L")


def _apply(image: Image.Image, step: AnyPixelStep, following: AnyPixelStep | None) -> Image.Image:
    """One step; `following` is the next, whose needs may save work."""
    match step:
        case Resize():
            return resize(image, step, following if isinstance(following, CenterCrop) else None)
        case CenterCrop():
            return center_crop(image, step)
        case Pad():
            spare = (step.size[1] - image.width, step.size[0] - image.height)
            if min(spare) < 0:
                raise DataError(
                    f"an image of {image.height} × {image.width} is larger than the pad step's {join_size(step.size)}",
                    "resize to a long_side or a fit in front of it",
                )
            left, top = (spare[0] // 2, spare[1] // 2) if step.position == "center" else (0, 0)
            return _pad(image, spare, (left, top), step.colour)
        case Channels():
            return convert_channels(image, step)
        case _:
            assert_never(step)


def resize(
    image: Image.Image, step: Resize, crop: CenterCrop | None = None, part: tuple[int, int] | None = None
) -> Image.Image:
    """Resize to what `find_target` says; an image of that size is left alone.

    Of what the `crop` that follows will cut off, as much is not made at all as leaves every bit of the rest as it is.

    Args:
        part: the image is rows of another: its first row there, and how many rows that has. It must have those of
            `find_rows`.
    """
    above, height = part or (0, image.height)
    width = image.width
    target = find_target((width, height), step)
    if target == (width, height):
        return image
    if step.backend == "tensor":
        return to_image(resize_as_tensor(to_pixels(image), target, step.interpolation, step.antialias))
    kind = Image.Resampling[step.interpolation.upper()]
    if kind is Image.Resampling.NEAREST:
        return image.resize(target, kind)
    # Rows first, then columns, as Pillow always did; from 13.0 on it would take the cheaper order, and that moves up
    # to a seventh of the values by a level (python-pillow/Pillow#9549).
    left, kept = _find_kept(target[0], crop, 1)
    columns, start, end = _find_span(width, target[0], left, kept)
    image = image.resize((columns, image.height), kind, box=(start, 0, end, image.height))
    if columns != kept:
        image = image.crop((left, 0, left + kept, image.height))
    rows, start, end = _find_span(height, target[1], *_find_kept(target[1], crop, 0))
    return image.resize((kept, rows), kind, box=(0, start - above, kept, end - above))


def find_rows(size: tuple[int, int], step: Resize, crop: CenterCrop) -> range:
    """The rows of an image of `size` (width, height) that `resize` makes of it what the `crop` keeps of."""
    height, target = size[1], find_target(size, step)
    if step.backend == "tensor" or step.interpolation == "nearest" or target == size:
        return range(height)
    rows, start, end = _find_span(height, target[1], *_find_kept(target[1], crop, 0))
    scale = (end - start) / rows
    # From the middle of the outermost rows as far as the filter reaches, and one more to be safe from rounding.
    reach = _SUPPORT[step.interpolation] * max(1.0, scale) - scale / 2 + 1
    return range(max(0, math.floor(start - reach)), min(height, math.ceil(end + reach)))


def find_target(size: tuple[int, int], step: Resize) -> tuple[int, int]:
    """Width and height that an image of `size` (width, height) is resized to.

    A side that follows the other is truncated, as by torchvision's `_compute_resized_output_size`; of `cover` and `fit`
    both sides are rounded, as by timm's `ResizeKeepRatio`.
    """
    width, height = size
    if step.size is not None:
        return step.size[1], step.size[0]
    if (frame := step.cover or step.fit) is not None:
        ratios = height / frame[0], width / frame[1]
        ratio = min(ratios) if step.cover else max(ratios)
        return max(1, round(width / ratio)), max(1, round(height / ratio))
    short, long = min(size), max(size)
    if step.long_side is not None:
        short, long = max(1, int(step.long_side * short / long)), step.long_side
    else:
        assert step.short_side is not None
        short, long = step.short_side, int(step.short_side * long / short)
        if step.max_size is not None and long > step.max_size:
            short, long = max(1, int(step.max_size * short / long)), step.max_size
    return (short, long) if width <= height else (long, short)


def _find_span(source: int, target: int, offset: int, kept: int) -> tuple[int, float, float]:
    """How many lines to make of `target`, and from which stretch of `source`: the kept ones if that is exact, else all.

    Pillow works out where a line lies in double precision, but the stretch is in single precision. Where `target` is a
    power of two and the stretch has few digits nothing is rounded, and a kept line is the same line.
    """
    if source == target or target & (target - 1) or (offset + kept) * source >= 2**24:
        return target, 0, source
    return kept, offset * source / target, (offset + kept) * source / target


def _find_kept(target: int, crop: CenterCrop | None, axis: int) -> tuple[int, int]:
    """The first line of `target` that a crop keeps, and how many; axis 0 are rows."""
    size = target if crop is None or crop.size is None else crop.size[axis]
    kept = min(target, size)
    return _find_offset(target - kept, crop), kept


def _find_offset(spare: int, crop: CenterCrop | None) -> int:
    """Where the middle begins if `spare` lines are left over."""
    return round(spare / 2) if crop is None or crop.offset == "half_even" else spare // 2


def center_crop(image: Image.Image, step: CenterCrop) -> Image.Image:
    """Cut the middle `step.size` out, or the step's fraction of it; a smaller image is padded around evenly."""
    if step.size is not None:
        height, width = step.size
    else:
        assert step.fraction is not None
        height, width = (max(1, int(side * step.fraction)) for side in (image.height, image.width))
    spare = (max(0, width - image.width), max(0, height - image.height))
    if any(spare):
        corner = [-(-side // 2) if step.offset == "floor" else side // 2 for side in spare]
        image = _pad(image, spare, (corner[0], corner[1]), step.pad or _BLACK)
    if image.size == (width, height):
        return image
    left, top = _find_offset(image.width - width, step), _find_offset(image.height - height, step)
    return image.crop((left, top, left + width, top + height))


def _pad(image: Image.Image, by: tuple[int, int], at: tuple[int, int], colour: Colour) -> Image.Image:
    """The image on a larger one of a colour: wider and higher `by` so much, its upper left corner `at` (left, top)."""
    shown = Image.new("RGB", (1, 1), colour).convert(image.mode).getpixel((0, 0))
    padded = Image.new(image.mode, (image.width + by[0], image.height + by[1]), shown)
    padded.paste(image, at)
    return padded


def check_range(image: NDArray[np.float32], name: str, recipe: Preprocessing) -> None:
    """Refuse floats (channels, height, width) that `normalise` makes of no pixels, such as those never scaled.

    Raises:
        DataError: says what they are and what they may be.
    """
    mean, std = (np.asarray(values) for values in recipe.normalisation)
    black, white = -mean / std, (1 - mean) / std
    low, high = image.min(axis=(1, 2)), image.max(axis=(1, 2))
    # Rounding, also to fp16 on the way, moves the ends a little. A comparison with NaN is false.
    slack = 0.01 * (white - black)
    if not ((low >= black - slack) & (high <= white + slack)).all():
        raise DataError(
            f"{name} has values from {low.min():.4g} to {high.max():.4g}, and the card's normalisation makes "
            f"{black.min():.4g} to {white.max():.4g} of pixels",
            "divide by 255, subtract the mean and divide by the deviation as the card says: `seatrial preprocess` does",
        )


def normalise(pixels: NDArray[np.uint8], recipe: Preprocessing) -> NDArray[np.float32]:
    """The steps after the pixel steps: to 0..1, minus mean, over standard deviation, channels first.

    Args:
        pixels: (n, height, width, channels).

    Returns:
        (n, channels, height, width).
    """
    mean, std = (np.asarray(values, dtype=np.float32) for values in recipe.normalisation)
    count, height, width, channels = pixels.shape
    tensors = np.empty((count, channels, height, width), dtype=np.float32)
    # One plane at a time and in place: the plane stays in the cache, which is four times as fast as whole arrays.
    for image, planes in zip(pixels, tensors, strict=True):
        for channel, plane in enumerate(planes):
            plane[:] = image[:, :, channel]
            plane /= np.float32(255)
            plane -= mean[channel]
            plane /= std[channel]
    return tensors
