"""What a measurement feeds: enough different batches that no cache holds them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.data.preprocess import normalise
from seatrial.errors import DataError, EngineError
from seatrial.recipes.schema import Recipe
from seatrial.store.records import TensorSpec

ROTATED_BYTES = 64 * 2**20
"""Batches take this much together: more than the last-level cache that one machine's share usually is."""
RANDOM_IMAGES = 64


def read_pixels(path: Path, spec: TensorSpec) -> NDArray[np.uint8]:
    """The prepared images (n, height, width, 3) of a `.npy` file, left on disk until they are used.

    Raises:
        DataError: there is no such file, or its images are not what `spec` takes.
    """
    try:
        pixels: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"prepared images {path} cannot be read ({error})") from None
    height, width = image_size(spec)
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (height, width, 3):
        found = "×".join(str(size) for size in pixels.shape)
        raise DataError(
            f"{path} holds {pixels.dtype} {found}, where the engine takes uint8 images n×{height}×{width}×3"
        )
    if len(pixels) < 2:
        raise DataError(f"{path} holds {len(pixels)} images", "give several, so that inputs differ from run to run")
    return pixels


def make_random_pixels(spec: TensorSpec, seed: int) -> NDArray[np.uint8]:
    """Images (n, height, width, 3) of random bytes: zeros would be faster on some chips than any photograph."""
    return np.random.default_rng(seed).integers(0, 256, (RANDOM_IMAGES, *image_size(spec), 3), dtype=np.uint8)


def make_batches(
    pixels: NDArray[np.uint8], batch_size: int, spec: TensorSpec, recipe: Recipe, streams: int = 1
) -> list[NDArray[Any]]:
    """Batches as `spec` takes them, `ROTATED_BYTES` together and at least two for each stream.

    Every image comes once before any comes again, each time in another order.
    """
    height, width = image_size(spec)
    batch_bytes = batch_size * height * width * 3 * np.dtype(spec.dtype).itemsize
    count = max(2 * streams, -(-ROTATED_BYTES // batch_bytes))
    rng = np.random.default_rng(0)
    rounds = -(-count * batch_size // len(pixels))
    order = np.concatenate([rng.permutation(len(pixels)) for _ in range(rounds)])[: count * batch_size]
    return [to_input(pixels[chosen], spec, recipe) for chosen in order.reshape(count, batch_size)]


def to_input(pixels: NDArray[np.uint8], spec: TensorSpec, recipe: Recipe) -> NDArray[Any]:
    """Images (n, height, width, 3) as the input that `spec` describes, normalised where it is no uint8."""
    if spec.dtype == "uint8":
        return np.ascontiguousarray(pixels if spec.layout == "NHWC" else pixels.transpose(0, 3, 1, 2))
    floats = normalise(pixels, recipe).astype(spec.dtype, copy=False)
    return np.ascontiguousarray(floats.transpose(0, 2, 3, 1) if spec.layout == "NHWC" else floats)


def image_size(spec: TensorSpec) -> tuple[int, int]:
    """Height and width of the images that `spec` takes.

    Raises:
        EngineError: it leaves them open, or takes no images.
    """
    axes = {"NHWC": (1, 2), "NCHW": (2, 3)}.get(spec.layout)
    height, width = (spec.shape[axis] for axis in axes) if axes else (None, None)
    if height is None or width is None:
        raise EngineError(f"input '{spec.name}' ({spec.layout}) has no fixed image size", "export with a fixed size")
    return height, width
