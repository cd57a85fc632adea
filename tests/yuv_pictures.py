"""Pictures as YUV420SP."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.preprocessing.yuv import decode_ycbcr, pack_yuv420sp
from seatrial.recipes.steps import Size


def to_yuv420sp(source: bytes | Image.Image, size: Size | None = None, nv21: bool = False) -> NDArray[np.uint8]:
    """Decode an image, resize it (bilinear, aspect not kept) and pack it as `pack_yuv420sp` does.

    Args:
        source: a file's bytes, or an image of any mode.
        size: height and width; None leaves the image as it is.

    Raises:
        DataError: the bytes are no image, or a cut off one.
        UsageError: a side is odd.
    """
    image = decode_ycbcr(source, "the image") if isinstance(source, bytes) else source.convert("YCbCr")
    if size is not None and (size[1], size[0]) != image.size:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return pack_yuv420sp(np.asarray(image), nv21)
