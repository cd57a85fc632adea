"""Resizing, and making grey, as torchvision does it on uint8 tensors, which Hugging Face's fast processors use.

The weights are those of torch's upsampling kernels, rounded to 16 bits as in its kernels for uint8, and so is the
order: columns, then rows, with whole levels between (aten/src/ATen/native/cpu/UpSampleKernel.cpp). A CPU without AVX2
takes floats there, which moves a value by a level.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
"""(target, source): what each line of the target takes of each line of the source; each row adds up to 1."""


def resize_as_tensor(
    pixels: NDArray[np.uint8],
    target: tuple[int, int],
    kind: Literal["nearest", "bilinear", "bicubic"] | str,
    antialias: bool,
) -> NDArray[np.uint8]:
    """Resize (height, width, channels) to `target` (width, height).

    Args:
        kind: `nearest` takes no notice of `antialias`.
    """
    height, width = pixels.shape[:2]
    if kind == "nearest":
        rows, columns = (_find_nearest(*pair) for pair in ((height, target[1]), (width, target[0])))
        nearest: NDArray[np.uint8] = pixels[rows][:, columns]
        return nearest
    wide = pixels
    if width != target[0]:
        weights, digits = _quantise(make_weights(width, target[0], kind, antialias))
        wide = _shift(np.einsum("tw,hwc->htc", weights, pixels.astype(np.float64), optimize=True), digits)
    if height == target[1]:
        return wide
    weights, digits = _quantise(make_weights(height, target[1], kind, antialias))
    return _shift(np.tensordot(weights, wide.astype(np.float64), axes=1), digits)


def make_grey_as_tensor(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey levels (height, width) of RGB pixels (height, width, 3), as `rgb_to_grayscale` of torchvision 0.29 does."""
    red, green, blue = np.moveaxis(pixels.astype(np.float32), 2, 0)
    levels = red * np.float32(0.2989) + np.float32(0.587) * green + np.float32(0.114) * blue
    grey: NDArray[np.uint8] = levels.astype(np.uint8)
    return grey


def _quantise(weights: Weights) -> tuple[Weights, int]:
    """Weights as whole numbers of int16's range, and by how many binary digits they are too large."""
    digits = next(n for n in range(23) if n == 22 or int(0.5 + weights.max() * 2 ** (n + 1)) >= 2**15)
    return np.trunc(weights * 2**digits + np.copysign(0.5, weights)), digits


def _shift(sums: NDArray[np.float64], digits: int) -> NDArray[np.uint8]:
    """Levels of sums of whole numbers; doubles have them exactly."""
    levels: NDArray[np.uint8] = np.floor((sums + 2 ** (digits - 1)) / 2**digits).clip(0, 255).astype(np.uint8)
    return levels


def make_weights(source: int, target: int, kind: str, antialias: bool) -> Weights:
    """What each of `target` lines takes of each of `source` lines, in torch's convention of half pixels."""
    scale = source / target
    stretch = max(scale, 1.0) if antialias else 1.0
    centres = (np.arange(target) + 0.5) * scale
    function, reach = _KERNELS[kind, antialias]
    if antialias:
        first = np.maximum((centres - reach * stretch + 0.5).astype(np.int64), 0)
        last = np.minimum((centres + reach * stretch + 0.5).astype(np.int64), source)
        lines = np.arange(source)
        weights: Weights = function((lines - centres[:, None] + 0.5) / stretch)
        weights[(lines < first[:, None]) | (lines >= last[:, None])] = 0
        normalised: Weights = weights / weights.sum(axis=1, keepdims=True)
        return normalised
    at = centres - 0.5
    if kind == "bilinear":
        at = np.maximum(at, 0)
    weights = np.zeros((target, source))
    for offset in range(1 - reach, reach + 1):
        line = np.floor(at).astype(np.int64) + offset
        # Lines beyond the edge are the line at the edge.
        np.add.at(weights, (np.arange(target), line.clip(0, source - 1)), function(at - line))
    return weights


def _find_nearest(source: int, target: int) -> NDArray[np.int64]:
    scale = np.float32(source) / np.float32(target)
    lines: NDArray[np.int64] = np.minimum((np.arange(target, dtype=np.float32) * scale).astype(np.int64), source - 1)
    return lines


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    weights: Weights = np.maximum(1 - np.abs(x), 0)
    return weights


def _cubic(sharpness: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Keys' cubic convolution; torch's sharpness is -0.5 where it is antialiased, as Pillow's, and -0.75 elsewhere."""

    def weigh(x: NDArray[np.float64]) -> NDArray[np.float64]:
        x, a = np.abs(x), sharpness
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = (((x - 5) * x + 8) * x - 4) * a
        return np.where(x < 1, near, np.where(x < 2, far, 0))

    return weigh


_KERNELS = {
    ("bilinear", True): (_triangle, 1),
    ("bilinear", False): (_triangle, 1),
    ("bicubic", True): (_cubic(-0.5), 2),
    ("bicubic", False): (_cubic(-0.75), 2),
}
"""By kind and antialiasing: the function of the distance, and how many lines it reaches to each side."""
