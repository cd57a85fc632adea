"""Images as YUV420SP, what Ascend's image hardware (DVPP) makes of JPEGs: full-range BT.601, one colour for 2×2 pixels.

Stands in for that hardware; its own resizing is not documented to the bit.
"""

import io
import warnings
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.preprocessing.decode import decode_image, decode_jpeg
from seatrial.data.preprocessing.steps import hash_steps
from seatrial.recipes.steps import Step, dump_steps
from seatrial.store.files import hash_value

PixelFormat = Literal["rgb", "yuv420sp", "yuv420sp-nv21"]
"""How the pixels of a uint8 bin are stored; yuv420sp is NV12."""
POLICY = "pillow-ycbcr/1"
"""Names these pixels in preprocessing hashes: a JPEG's own planes, chroma upsampled by libjpeg; others through RGB."""


def decode_ycbcr(data: bytes, name: str, notes: list[str] | None = None) -> Image.Image:
    """Decode the bytes of one image to YCbCr; a JPEG's planes are taken as they are stored, never through RGB.

    Args:
        notes: as for `decode_image`.

    Raises:
        DataError: as `decode_image`.
    """
    # Decoded here only for what it says of damage.
    decode_jpeg(data, name, notes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
                image.draft("YCbCr", None)
                image.load()
                if image.mode == "YCbCr":
                    return image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombWarning, Image.DecompressionBombError):
        pass  # No JPEG, a damaged one, or one that stores RGB: the usual decoder reads it or says what is wrong.
    return decode_image(data, name, notes).convert("YCbCr")


def hash_pixels(steps: Sequence[Step], form: PixelFormat) -> str:
    """What identifies a preprocessing that ends in pixels of this format."""
    if form == "rgb":
        return hash_steps(steps)
    return hash_value({"decode": POLICY, "steps": dump_steps(steps), "format": form})


def pack_yuv420sp(pixels: NDArray[np.uint8], nv21: bool = False) -> NDArray[np.uint8]:
    """Full-colour pixels (height, width, 3), whose sides are even, in Y, U, V as YUV420SP: (height · 3/2, width).

    The rows of Y, then half as many that hold U and V in turn (NV12), or V and U (NV21), each the mean of 2×2 pixels
    rounded half up.
    """
    height, width, _ = pixels.shape
    chroma = pixels[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).sum(axis=(1, 3), dtype=np.uint16)
    means = ((chroma + 2) // 4).astype(np.uint8)
    pairs = means[..., ::-1] if nv21 else means
    return np.concatenate([pixels[..., 0], pairs.reshape(height // 2, width)])


def unpack_yuv420sp(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The reverse for (n, height · 3/2, width, 1): (n, height, width, 3), each colour given to its four pixels.

    The last two channels are U and V of NV12, V and U of NV21.
    """
    count, rows, width, _ = batch.shape
    height = rows * 2 // 3
    chroma = batch[:, height:].reshape(count, height // 2, width // 2, 2)
    return np.concatenate([batch[:, :height], chroma.repeat(2, axis=1).repeat(2, axis=2)], axis=3)
