"""From an image file to the pixels that the engine takes: what was measured, to the bit, without seatrial."""

import importlib.util
import io
import struct
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
SAMPLE_BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
"""Tags of TIFF."""
Step = Mapping[str, Any]


class ImageError(Exception):
    """An image that cannot be read, or that a step does not take, in one line."""


def prepare_image(data: bytes, name: str, steps: Sequence[Step]) -> NDArray[np.uint8]:
    """The bytes of an image file, behind the card's steps: pixels (height, width, channels).

    Raises:
        ImageError: they are no image, or a step does not take it; names `name`.
    """
    image = read_image(data, name)
    for step in steps:
        try:
            image = STEPS[step["step"]](image, step)
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from None
    return to_pixels(image)


def read_image(data: bytes, name: str) -> Image.Image:
    """The bytes of an image file as RGB: EXIF orientation is ignored, 16 bits are scaled, transparency is dropped."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        with image:
            _check_depth(image, name)
            image.load()
            return _to_rgb(image)
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise ImageError(f"image {name} cannot be read ({error})") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageError(f"image {name} is refused ({error})") from None


def _check_depth(image: Image.Image, name: str) -> None:
    """Refuse samples whose black and white are not defined."""
    odd = image.mode == "F"
    if isinstance(image, TiffImageFile):
        bits = max(image.tag_v2.get(SAMPLE_BITS, (1,)))
        odd = odd or set(image.tag_v2.get(SAMPLE_FORMAT, (1,))) != {1} or bits not in (1, 2, 4, 8, 16)
        odd = odd or (bits == 16 and image.tag_v2.get(PHOTOMETRIC) == 0)
    if odd:
        raise ImageError(f"image {name} is refused: convert it to 8 or 16 unsigned bits a sample, 0 being black")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.uint32) // 257).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def resize(image: Image.Image, step: Step) -> Image.Image:
    """Columns first, then rows, each in a call of its own: versions of Pillow differ in the order that they choose."""
    target = _find_target(image.size, step)
    if target == image.size:
        return image
    if step["backend"] == "tensor":
        made = _load_tensor_steps().resize_as_tensor(to_pixels(image), target, step["interpolation"], step["antialias"])
        return Image.fromarray(made if made.shape[2] == 3 else made[..., 0])
    kind = Image.Resampling[step["interpolation"].upper()]
    if kind is Image.Resampling.NEAREST:
        return image.resize(target, kind)
    return image.resize((target[0], image.height), kind).resize(target, kind)


def _find_target(size: tuple[int, int], step: Step) -> tuple[int, int]:
    """Width and height that an image of `size` (width, height) is resized to."""
    width, height = size
    if step.get("size"):
        return step["size"][1], step["size"][0]
    frame = step.get("cover") or step.get("fit")
    if frame:
        ratios = height / frame[0], width / frame[1]
        ratio = min(ratios) if step.get("cover") else max(ratios)
        return max(1, round(width / ratio)), max(1, round(height / ratio))
    short, long = min(size), max(size)
    if step.get("long_side"):
        short, long = max(1, int(step["long_side"] * short / long)), step["long_side"]
    else:
        short, long = step["short_side"], int(step["short_side"] * long / short)
        most = step.get("max_size")
        if most and long > most:
            short, long = max(1, int(most * short / long)), most
    return (short, long) if width <= height else (long, short)


def center_crop(image: Image.Image, step: Step) -> Image.Image:
    """Cut the middle out; a smaller image is padded around evenly."""
    sides = step.get("size") or [max(1, int(side * step["fraction"])) for side in (image.height, image.width)]
    height, width = sides
    down = step["offset"] == "floor"
    spare = max(0, width - image.width), max(0, height - image.height)
    if any(spare):
        corner = [-(-side // 2) if down else side // 2 for side in spare]
        image = _put_on(image, spare, (corner[0], corner[1]), step.get("pad") or (0, 0, 0))
    left, top = image.width - width, image.height - height
    if step["offset"] == "half_even":
        left, top = round(left / 2), round(top / 2)
    else:
        left, top = left // 2, top // 2
    return image.crop((left, top, left + width, top + height))


def pad(image: Image.Image, step: Step) -> Image.Image:
    """A border of one colour up to a size."""
    spare = step["size"][1] - image.width, step["size"][0] - image.height
    if min(spare) < 0:
        raise ImageError(f"an image of {image.height} × {image.width} is larger than the pad step's {step['size']}")
    at = (spare[0] // 2, spare[1] // 2) if step["position"] == "center" else (0, 0)
    return _put_on(image, spare, at, step["colour"])


def _put_on(image: Image.Image, by: tuple[int, int], at: tuple[int, int], colour: Sequence[int]) -> Image.Image:
    red, green, blue = colour
    shown = Image.new("RGB", (1, 1), (red, green, blue)).convert(image.mode).getpixel((0, 0))
    padded = Image.new(image.mode, (image.width + by[0], image.height + by[1]), shown)
    padded.paste(image, at)
    return padded


def channels(image: Image.Image, step: Step) -> Image.Image:
    """Swap red and blue, or make grey."""
    if step["order"] == "BGR":
        return Image.merge(image.mode, image.split()[::-1])
    if image.mode == "L":
        return image
    if step["backend"] == "tensor":
        return Image.fromarray(_load_tensor_steps().make_grey_as_tensor(np.asarray(image)))
    return image.convert("L")


STEPS: dict[str, Callable[[Image.Image, Step], Image.Image]] = {
    "resize": resize,
    "center_crop": center_crop,
    "pad": pad,
    "channels": channels,
}
"""Every step that works on pixels, by its name in the card."""


@cache
def _load_tensor_steps() -> Any:
    """Torchvision's arithmetic, which is there where the card has a step with backend = "tensor"."""
    spec = importlib.util.spec_from_file_location("tensor_resize", Path(__file__).with_name("tensor_resize.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels (height, width, channels) of an image, a grey one too."""
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]
