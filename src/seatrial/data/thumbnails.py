"""Small pictures of images, for people."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.images import LabelledImage
from seatrial.data.preprocessing.decode import decode_image
from seatrial.errors import DataError, SeatrialError
from seatrial.recipes import Recipe
from seatrial.recipes.steps import Channels
from seatrial.store.files import hash_content

LONGEST_SIDE = 96
"""Pixels."""
QUALITY = 80


def make_thumbnail(image: LabelledImage, recipe: Recipe, content: int | None = None) -> bytes:
    """A small JPEG of an image file, of a member of an archive, or of what was preprocessed before.

    Args:
        recipe: says what numbers became of pixels where the image was preprocessed.
        content: `store.files.hash_content` of the image file as it was predicted, where that is known.

    Returns:
        Nothing where the image cannot be read, is another one by now, or has no form that people see.
    """
    try:
        picture = _read_picture(image, recipe, content)
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=QUALITY)
    except (SeatrialError, OSError, ValueError):
        return b""
    return stream.getvalue()


def _read_picture(image: LabelledImage, recipe: Recipe, content: int | None) -> Image.Image:
    """A picture of any size, RGB or grey.

    Raises:
        SeatrialError: it cannot be read, is another one, or cannot be shown.
    """
    data = image.read()
    form = image.prepared
    if form is None:
        if content is not None and hash_content(data) != content:
            raise DataError(f"image {image} has changed since it was predicted")
        return decode_image(data, str(image))
    # One channel that is not the card's is AIPP's YUV.
    if form.size is None and form.shape != (*recipe.input_size, recipe.channels):
        raise DataError(f"image {image} is {form}, which is no picture")
    row = np.frombuffer(data, form.dtype).reshape(form.shape)
    pixels = row if form.dtype == "uint8" else _to_pixels(row, recipe)
    if pixels.shape[2] == 1:
        return Image.fromarray(pixels[..., 0])
    swapped = sum(isinstance(step, Channels) and step.order == "BGR" for step in recipe.preprocess) % 2
    return Image.fromarray(np.ascontiguousarray(pixels[..., ::-1] if swapped else pixels))


def _to_pixels(row: NDArray[np.float32], recipe: Recipe) -> NDArray[np.uint8]:
    """Pixels (height, width, channels) of normalised floats (channels, height, width)."""
    mean, std = (np.array(values, np.float32)[:, None, None] for values in recipe.normalisation)
    return (255 * (row * std + mean)).round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
