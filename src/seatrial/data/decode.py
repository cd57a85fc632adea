"""Bytes of an image file to RGB pixels, or a data error that names the file."""

import io
import struct
import threading
import warnings
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from seatrial.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
"""What Pillow may try: container formats with a history of holes are left out."""

POLICY = "pillow-rgb/1"
"""Names these pixels in preprocessing hashes: Pillow's decoding, RGB, EXIF orientation ignored, 16 bits scaled."""

MEND = "mend or remove it, and run again"

_OPENING = threading.Lock()
"""Warning filters belong to the whole process, so only one thread may change them at a time."""


def read_image(path: Path) -> Image.Image:
    """Decode one file to an RGB image.

    Raises:
        DataError: the file is missing, unreadable, or no image.
    """
    return decode_image(read_file(path), str(path))


def read_file(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        DataError: it is missing or unreadable.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"image {path} cannot be read ({error.strerror})") from None


def decode_image(data: bytes, name: str) -> Image.Image:
    """Decode the bytes of one image to RGB.

    Baseline three-channel and grey JPEGs go through simplejpeg, which gives Pillow's own pixels in two thirds of
    the time; all else goes through Pillow.

    Raises:
        DataError: the bytes are no image, or a cut off one; names `name`.
    """
    pixels = _decode_plain(data, name)
    return _decode_other(data, name) if pixels is None else Image.fromarray(pixels)


def decode_array(data: bytes, name: str) -> NDArray[np.uint8]:
    """The pixels of `decode_image`, (height, width, 3), without the copy into Pillow's own memory.

    Raises:
        DataError: the bytes are no image, or a cut off one; names `name`.
    """
    pixels = _decode_plain(data, name)
    return np.asarray(_decode_other(data, name)) if pixels is None else pixels


def _decode_plain(data: bytes, name: str) -> NDArray[np.uint8] | None:
    if not _is_plain_jpeg(data):
        return None
    try:
        # Pillow's defaults: exact IDCT and smooth chroma upsampling.
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colorspace="RGB", fastdct=False, fastupsample=False)
        return pixels
    except ValueError as error:
        # Pillow knows more odd files, and says what is wrong with the others; but it paints a hole grey.
        if "premature end" in str(error):
            raise DataError(f"image {name} is damaged ({error})", MEND) from None
        return None


def _decode_other(data: bytes, name: str) -> Image.Image:
    try:
        with _open(data) as image:
            image.load()
            return _to_rgb(image)
    except UnidentifiedImageError:
        raise DataError(f"{name} is no image ({_describe(data)})", MEND) from None
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise DataError(f"image {name} is damaged ({error})", MEND) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"image {name} is refused ({error})", MEND) from None


def _open(data: bytes) -> Image.Image:
    """Read the header; more pixels than Pillow thinks sane are refused here, before any is decoded."""
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(data), formats=FORMATS)


def _is_plain_jpeg(data: bytes) -> bool:
    """Whether this is a baseline JPEG (SOF0) of 1 or 3 components and sane size that ends as it should.

    A stream without its end marker is left to Pillow, which refuses it where libjpeg would paint the rest grey;
    so is one with too many pixels.
    """
    if data[:3] != b"\xff\xd8\xff" or b"\xff\xd9" not in data[-1024:]:
        return False
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xC0:
            height, width = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            return data[at + 9] in (1, 3) and height * width <= (Image.MAX_IMAGE_PIXELS or 0)
        if marker in range(0xC1, 0xD0) and marker not in (0xC4, 0xC8, 0xCC):
            return False
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow's own conversion cuts 16-bit grey off at 255; scaling keeps the picture.
        return Image.fromarray((np.asarray(image).astype(np.uint32) // 257).clip(0, 255).astype(np.uint8)).convert(
            "RGB"
        )
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _describe(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if data.lstrip()[:1] == b"<":
        return "it holds a web page or XML"
    return f"{len(data):,} bytes that begin with {data[:4].hex(' ')}"
