"""What faults do to lines, colours and values."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seatrial.diagnosis.app.program import Levels

Matrix = Literal["601", "709", "stretched", "squeezed"]
"""How YUV becomes RGB: as it was made, full-range BT.601; as BT.709; as if it were of video range; the reverse."""
_CHROMA = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}
"""Shares of red and of blue in the luminance."""


def weigh_area(source: int, target: int) -> NDArray[np.float64]:
    """The share of each line of the source that a line of the target covers.

    Where it enlarges, a line of the target that lies within one of the source is that one, as in OpenCV's resize.cpp.
    """
    if target > source:
        lines = np.arange(target)
        low = lines * source // target
        part = ((lines + 1) - (low + 1) * target / source).clip(0, None)
        return _weigh_linear(low + part - np.floor(part), source)
    edges = np.arange(target + 1) * source / target
    lines = np.arange(source)
    covered = np.minimum(edges[1:, None], lines + 1) - np.maximum(edges[:-1, None], lines)
    weights = covered.clip(0, None)
    normalised: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normalised


def weigh_asymmetric(source: int, target: int) -> NDArray[np.float64]:
    """Line i of the target is at i times the ratio."""
    return _weigh_linear(np.arange(target) * source / target, source)


def weigh_corners(source: int, target: int) -> NDArray[np.float64]:
    """The first and the last lines lie on each other."""
    return _weigh_linear(np.arange(target) * (source - 1) / max(target - 1, 1), source)


def _weigh_linear(places: NDArray[np.float64], source: int) -> NDArray[np.float64]:
    places = places.clip(0, source - 1)
    low = np.floor(places).astype(np.int64)
    weights, rows = np.zeros((len(places), source)), np.arange(len(places))
    np.add.at(weights, (rows, low), 1 - (places - low))
    np.add.at(weights, (rows, np.minimum(low + 1, source - 1)), places - low)
    return weights


def swap(levels: Levels) -> Levels:
    """Red and blue."""
    return levels[..., ::-1]


def make_grey(levels: Levels) -> Levels:
    """The luminance in each channel."""
    return np.repeat(np.rint(levels @ np.array([[0.299], [0.587], [0.114]], np.float32)), 3, axis=-1)


def through_yuv(levels: Levels, matrix: Matrix = "601", halved: bool = True, swapped: bool = False) -> Levels:
    """Through full-range YUV of BT.601 and back.

    Args:
        halved: one colour for 2 × 2 pixels; an odd line at the end keeps its own.
        swapped: U is read as V.
    """
    (red, blue), (red_back, blue_back) = _CHROMA["601"], _CHROMA["709" if matrix == "709" else "601"]
    luma = levels @ np.array([red, 1 - red - blue, blue], np.float32)
    u, v = (levels[..., 2] - luma) / (2 - 2 * blue), (levels[..., 0] - luma) / (2 - 2 * red)
    y, u, v = np.rint(luma), np.rint(u).clip(-128, 127), np.rint(v).clip(-128, 127)
    if halved:
        u, v = _halve(u), _halve(v)
    if swapped:
        u, v = v, u
    if matrix == "stretched":
        y, u, v = (y - 16) * 255 / 219, u * 255 / 224, v * 255 / 224
    if matrix == "squeezed":
        y, u, v = np.rint(16 + y * 219 / 255), np.rint(u * 224 / 255), np.rint(v * 224 / 255)
    r, b = y + (2 - 2 * red_back) * v, y + (2 - 2 * blue_back) * u
    g = (y - red_back * r - blue_back * b) / (1 - red_back - blue_back)
    made: Levels = np.rint(np.stack([r, g, b], axis=-1)).clip(0, 255).astype(np.float32)
    return made


def _halve(plane: Levels) -> Levels:
    height, width = plane.shape[1] // 2 * 2, plane.shape[2] // 2 * 2
    means = plane[:, :height, :width].reshape(len(plane), height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    halved = plane.copy()
    halved[:, :height, :width] = np.rint(means).repeat(2, axis=1).repeat(2, axis=2)
    return halved


def wrap_mean(levels: Levels, mean: Levels, std: Levels) -> Levels:
    """The mean in whole levels is subtracted modulo 256."""
    wrapped: Levels = (levels - np.rint(255 * mean)) % 256 / (255 * std)
    return wrapped


def read_signed(levels: Levels, mean: Levels, std: Levels) -> Levels:
    """The byte of a level taken for a signed one."""
    signed = levels - 256 * (levels > 127).astype(np.float32)
    read: Levels = (signed / np.float32(255) - mean) / std
    return read


def round_fp16(values: Levels) -> Levels:
    """To 11 bits."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


def round_bf16(values: Levels) -> Levels:
    """To 8 bits, to the nearest even."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return rounded.astype(np.uint32).view(np.float32)


def read_hwc(image: NDArray[np.int64]) -> NDArray[np.int64]:
    """The values of (channels, height, width) in the order of (height, width, channels), read as before."""
    return image.transpose(1, 2, 0).reshape(image.shape)
