"""What an AIPP configuration does to pixels, in numpy: the definition that `export.fuse_aipp` writes into graphs.

What no document says is assumed: the converted colour is clamped to 0..255, and each colour of YUV420SP serves its four
pixels as it is. The device rounds min_chn, var_reci_chn and its results to float16; here all of that is float32.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.data.preprocessing.aipp import Aipp
from seatrial.data.preprocessing.yuv import unpack_yuv420sp
from seatrial.errors import UsageError
from seatrial.recipes.steps import Size


@dataclass(frozen=True, slots=True)
class AippFrame:
    """The sizes of a configuration in front of one network."""

    source: Size
    """Height and width of the image that is fed."""
    start: tuple[int, int]
    """Row and column of the window."""
    window: Size
    borders: tuple[int, int, int, int]
    """Rows above, columns left, rows below, columns right of it."""


def fit_aipp(config: Aipp, size: Size) -> AippFrame:
    """Put a configuration in front of a network whose input has this height and width.

    Raises:
        UsageError: it gives another size.
    """
    source = config.src_image_size_h or size[0], config.src_image_size_w or size[1]
    start, window, (top, left, bottom, right) = (0, 0), source, (0, 0, 0, 0)
    if config.crop:
        start = config.load_start_pos_h, config.load_start_pos_w
        window = config.crop_size_h or size[0], config.crop_size_w or size[1]
    if config.padding:
        top, left = config.top_padding_size, config.left_padding_size
        bottom, right = config.bottom_padding_size, config.right_padding_size
    given = window[0] + top + bottom, window[1] + left + right
    if given != size:
        raise UsageError(
            f"the AIPP configuration gives {given[0]}×{given[1]} (height×width), the network takes {size[0]}×{size[1]}",
            "change crop_size_h and crop_size_w, or src_image_size_h and src_image_size_w where nothing is cropped",
        )
    if any(begin + length > whole for begin, length, whole in zip(start, window, source, strict=True)):
        raise UsageError(
            f"the window of the network's {size[0]}×{size[1]} at row {start[0]}, column {start[1]} is beyond the"
            f" AIPP configuration's image of {source[0]}×{source[1]}",
            "give load_start_pos and src_image_size that leave room for it",
        )
    if config.input_format == "YUV420SP_U8" and any(length % 2 for length in (*source, *window)):
        raise UsageError(
            f"YUV420SP_U8 needs even sizes, and the network's {size[0]}×{size[1]} are not",
            "choose another input_format",
        )
    return AippFrame(source, start, window, (top, left, bottom, right))


def input_shape(config: Aipp, frame: AippFrame) -> tuple[int, int, int]:
    """One input as uint8 bytes in rows, columns and channels; as flat bytes it is what the Ascend runtime takes.

    YUV420SP_U8 has height · 3/2 rows of one channel: the rows of Y, then half as many of interleaved U and V.
    """
    height, width = frame.source
    if config.input_format == "YUV420SP_U8":
        return height * 3 // 2, width, 1
    return height, width, {"RGB888_U8": 3, "XRGB8888_U8": 4, "YUV400_U8": 1}[config.input_format]


def apply_aipp(batch: NDArray[np.uint8], config: Aipp, size: Size) -> NDArray[np.float32]:
    """What the network behind a configuration gets, (n, channels, height, width).

    Swap, crop, (matrix · (pixel − input bias)) >> 8 plus output bias clamped to 0..255, (pixel − mean − min) ·
    var_reci, border.

    Args:
        batch: (n, *input_shape).
        size: height and width that the network takes.
    """
    frame = fit_aipp(config, size)
    (top, left), (height, width) = frame.start, frame.window
    pixels = unpack_yuv420sp(batch) if config.input_format == "YUV420SP_U8" else batch
    pixels = pixels[:, top : top + height, left : left + width, list(config.order)]
    if config.csc_switch:
        before, after = config.biases
        converted = ((pixels.astype(np.int32) - before) @ config.matrix.T >> 8) + after
        pixels = converted.clip(0, 255).astype(np.uint8)
    less, scale = config.normalisation
    above, beside, below, behind = frame.borders
    borders = ((0, 0), (above, below), (beside, behind), (0, 0))
    padded = np.pad((pixels.astype(np.float32) - less) * scale, borders, constant_values=config.padding_value)
    return np.ascontiguousarray(padded.transpose(0, 3, 1, 2), dtype=np.float32)
