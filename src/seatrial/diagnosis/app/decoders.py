"""How programs read what is no plain RGB file, where the card reads it otherwise."""

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from seatrial.diagnosis.app.program import Decoder

__all__ = ["Decoder"]


def _lay_on(image: Image.Image, level: int) -> Image.Image | None:
    if image.mode not in ("RGBA", "LA"):
        return None
    rgba = image.convert("RGBA")
    ground = Image.new("RGBA", rgba.size, (level, level, level, 255))
    return Image.alpha_composite(ground, rgba).convert("RGB")


def on_white(data: bytes, image: Image.Image) -> Image.Image | None:
    """Transparent pixels show white."""
    return _lay_on(image, 255)


def on_black(data: bytes, image: Image.Image) -> Image.Image | None:
    """Transparent pixels show black."""
    return _lay_on(image, 0)


def _read_inks(image: Image.Image) -> NDArray[np.int16] | None:
    return np.asarray(image).astype(np.int16) if image.mode == "CMYK" else None


def _to_rgb(levels: NDArray[np.int16]) -> Image.Image:
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def cmyk_inverted(data: bytes, image: Image.Image) -> Image.Image | None:
    """Full ink for none."""
    inks = _read_inks(image)
    return None if inks is None else Image.fromarray((255 - inks).astype(np.uint8), "CMYK").convert("RGB")


def cmyk_sums(data: bytes, image: Image.Image) -> Image.Image | None:
    """Black ink subtracted, where the card multiplies."""
    inks = _read_inks(image)
    return None if inks is None else _to_rgb(255 - inks[..., :3] - inks[..., 3:])


def cmyk_three(data: bytes, image: Image.Image) -> Image.Image | None:
    """As if it were RGB with a plane too many."""
    inks = _read_inks(image)
    return None if inks is None else _to_rgb(inks[..., :3])


def _read_deep(image: Image.Image) -> NDArray[np.uint32] | None:
    return np.asarray(image).astype(np.uint32) if image.mode.startswith("I") else None


def _to_grey(levels: NDArray[np.uint32]) -> Image.Image:
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8)).convert("RGB")


def cut_16(data: bytes, image: Image.Image) -> Image.Image | None:
    """As Pillow's own conversion."""
    deep = _read_deep(image)
    return None if deep is None else _to_grey(deep)


def halve_16(data: bytes, image: Image.Image) -> Image.Image | None:
    """The upper byte alone, as OpenCV does."""
    deep = _read_deep(image)
    return None if deep is None else _to_grey(deep // 256)


def palette(data: bytes, image: Image.Image) -> Image.Image | None:
    """The palette is not looked up."""
    return Image.fromarray(np.asarray(image)).convert("RGB") if image.mode == "P" else None


def plain_chroma(data: bytes, image: Image.Image) -> Image.Image | None:
    """Each colour of a JPEG is given to its pixels as it is, with the fast inverse transform."""
    if image.format != "JPEG" or image.mode != "RGB":
        return None
    return Image.fromarray(simplejpeg.decode_jpeg(data, "RGB", fastdct=True, fastupsample=True))
