"""Bytes of an image file to RGB pixels, or a data error that names the file."""

import io
import re
import struct
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

from seatrial.data.preprocessing.damage import JPEG, PNG, UNCHECKED, decode_strictly, find_png_damage, read_frame
from seatrial.errors import DataError, cannot_read
from seatrial.foreign.files import read_bytes

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
"""What Pillow may try: container formats with a history of holes are left out."""

POLICY = "pillow-rgb/1"
"""Names these pixels in preprocessing hashes: Pillow's decoding, RGB, EXIF orientation ignored, 16 bits scaled."""

MEND = "mend or remove it, and run again"
DEEPEN = "convert it to 8 or 16 unsigned bits a sample, so that its black is 0 and its white the highest, and run again"
EXIF_ORIENTATION, ACROSS = 0x0112, (5, 6, 7, 8)
"""The tag, and its values that turn an image by a quarter."""

JPEG_IN_TIFF = ("jpeg", "tiff_jpeg")
"""Pillow's names of compressions whose damage libtiff passes over."""
_CUT_OFF = re.compile("Tag data larger than file|Truncated File Read|Corrupt EXIF data")
"""Pillow's warnings of tags that are not there; of a TIFF these say where its pixels are."""

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
        return read_bytes(path)
    except OSError as error:
        raise cannot_read(f"image {path}", error) from None


def read_shown_size(path: Path) -> tuple[int, int]:
    """Width and height as OpenCV and viewers show an image: turned as its EXIF says. Only the header is decoded.

    Raises:
        DataError: the file is missing, unreadable, or no image.
    """
    data = read_file(path)
    try:
        with _open(data) as image:
            turned = image.getexif().get(EXIF_ORIENTATION, 1) in ACROSS
            return (image.height, image.width) if turned else (image.width, image.height)
    except UnidentifiedImageError:
        raise DataError(f"{path} is no image ({_describe(data)})", MEND) from None
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise DataError(f"image {path} is damaged ({error})", MEND) from None


def decode_image(data: bytes, name: str, notes: list[str] | None = None) -> Image.Image:
    """Decode the bytes of one image to RGB.

    JPEGs of one or three components go through simplejpeg, which gives Pillow's own pixels in less time and raises
    libjpeg's warnings; all else goes through Pillow.

    Args:
        notes: gets what does no harm, but should be known of a data set (`damage.SURPLUS`, `damage.UNCHECKED`), and
            what Pillow warns of; without it these are warnings that name the image.

    Raises:
        DataError: the bytes are no image, a cut off or damaged one, or of a depth that has no rule; names `name`.
    """
    pixels = decode_jpeg(data, name, notes)
    return _decode_other(data, name, notes) if pixels is None else Image.fromarray(pixels)


def decode_either(data: bytes, name: str, notes: list[str] | None = None) -> Image.Image | NDArray[np.uint8]:
    """What `decode_image` gives, as pixels where they need no copy into Pillow's own memory.

    These are (height, width, 4), the last byte without a meaning, where `wrap_pixels` takes them, else (…, 3).

    Args:
        notes: as for `decode_image`.

    Raises:
        DataError: as `decode_image`.
    """
    pixels = decode_jpeg(data, name, notes, can_wrap())
    return _decode_other(data, name, notes) if pixels is None else pixels


def can_wrap() -> bool:
    """Whether `wrap_pixels` costs nothing here: pyarrow takes longer to load than it saves of a thousand images."""
    return "pyarrow" in sys.modules


def wrap_pixels(pixels: NDArray[np.uint8]) -> Image.Image:
    """The RGB image of contiguous pixels (height, width, 4) in their own memory, which must not change meanwhile."""
    import pyarrow

    height, width, _ = pixels.shape
    words = pyarrow.Array.from_buffers(pyarrow.uint32(), height * width, [None, pyarrow.py_buffer(pixels.data)])
    return Image.fromarrow(words, "RGB", (width, height))


def decode_array(data: bytes, name: str) -> NDArray[np.uint8]:
    """The pixels of `decode_image`, (height, width, 3), without the copy into Pillow's own memory.

    Raises:
        DataError: as `decode_image`.
    """
    pixels = decode_jpeg(data, name)
    return np.asarray(_decode_other(data, name)) if pixels is None else pixels


def decode_jpeg(
    data: bytes, name: str, notes: list[str] | None = None, padded: bool = False
) -> NDArray[np.uint8] | None:
    """The pixels of a JPEG, (height, width, 3); None if it is none, or one that only Pillow turns into RGB.

    Args:
        notes: as for `decode_image`.
        padded: (height, width, 4), as of `decode_strictly`.

    Raises:
        DataError: it is damaged; names `name`.
    """
    frame = read_frame(data)
    if frame is None or frame.width * frame.height > (Image.MAX_IMAGE_PIXELS or 0):
        if data.startswith(JPEG) and notes is not None:
            notes.append(UNCHECKED)
        return None
    pixels, damage, note = decode_strictly(data, frame, padded)
    if damage is not None:
        raise DataError(f"image {name} is damaged ({damage})", MEND)
    if note is not None and notes is not None:
        notes.append(note)
    return None if frame.colorspace == "CMYK" else pixels


def _decode_other(data: bytes, name: str, notes: list[str] | None = None) -> Image.Image:
    damage = find_png_damage(data) if data.startswith(PNG) else None
    if damage is not None:
        raise DataError(f"image {name} is damaged ({damage})", MEND)
    try:
        said: list[str] = []
        with _open(data, said) as image:
            _check_depth(image, name)
            _check_said(image, name, said, notes)
            image.load()
            return _to_rgb(image)
    except UnidentifiedImageError:
        raise DataError(f"{name} is no image ({_describe(data)})", MEND) from None
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise DataError(f"image {name} is damaged ({error})", MEND) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"image {name} is refused ({_count_pixels(error)})", MEND) from None


def _count_pixels(error: Warning | Exception) -> str:
    """Why an image is too large, from what Pillow says; its limits are two, and ours is the lower one of them."""
    found = re.search(r"(\d+) pixels", str(error))
    return f"it has {int(found[1]):,} pixels; {Image.MAX_IMAGE_PIXELS:,} are the most" if found else str(error)


def read_orientation(data: bytes) -> int:
    """How an image's EXIF says that it is to be turned, from 1, not at all, to 8; 1 too where it says nothing."""
    try:
        with _open(data, []) as image:
            return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, TypeError, struct.error, Image.DecompressionBombWarning):
        return 1


def _open(data: bytes, said: list[str] | None = None) -> Image.Image:
    """Read the header; more pixels than Pillow thinks sane are refused here, before any is decoded.

    Args:
        said: gets what Pillow warns of.
    """
    with _OPENING, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    for warning in caught:
        if "PIL" not in Path(warning.filename).parts:  # Of another thread, for the time of this one.
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        elif said is not None:
            said.append(str(warning.message).strip())
    return image


def _check_said(image: Image.Image, name: str, said: list[str], notes: list[str] | None) -> None:
    """Refuse a TIFF that ends before its tags do; whatever else Pillow warns of is noted, or a warning with a name."""
    if isinstance(image, TiffImageFile):
        cut = next(filter(_CUT_OFF.match, said), None)
        if cut is not None:
            raise DataError(f"image {name} is damaged ({cut})", MEND)
        if image.info.get("compression") in JPEG_IN_TIFF and notes is not None:
            notes.append(UNCHECKED)
    for text in said:
        if notes is None:
            warnings.warn(f"image {name}: {text}", stacklevel=2)
        else:
            notes.append(f"what Pillow warns of ({text})")


def _check_depth(image: Image.Image, name: str) -> None:
    """Refuse samples whose black and white are not defined, and those that Pillow reads wrongly."""
    depth = None
    if image.mode == "F":
        depth = "floating-point samples"
    elif isinstance(image, TiffImageFile):
        bits = max(image.tag_v2.get(BITSPERSAMPLE, (1,)))
        if set(image.tag_v2.get(SAMPLEFORMAT, (1,))) != {1}:
            depth = f"signed samples of {bits} bits"
        elif bits not in (1, 2, 4, 8, 16):
            depth = f"samples of {bits} bits"
        elif bits == 16 and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0:
            depth = "samples of 16 bits whose 0 is white"
    if depth is not None:
        raise DataError(f"image {name} is refused: it has {depth}", DEEPEN)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow's own conversion cuts 16-bit grey off at 255; scaling keeps the picture.
        grey = (np.asarray(image).astype(np.uint32) // 257).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _describe(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if data.lstrip()[:1] == b"<":
        return "it holds a web page or XML"
    return f"{len(data):,} bytes that begin with {data[:4].hex(' ')}"
