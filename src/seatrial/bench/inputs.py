"""The inputs of a measurement: enough different batches that no cache keeps them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.data.preprocessing.input_pipeline import InputPipeline, to_input
from seatrial.errors import DataError
from seatrial.foreign.files import open_regular
from seatrial.store.records import TensorSpec

ROTATED_BYTES = 64 * 2**20
"""Batches take this much together: more than the last-level cache that one machine's share usually is."""
RANDOM_IMAGES = 64
RANDOM_BYTES = "random bytes, seed 0"
PREPARE = "prepare them again: give the folder with --images"


def read_pixels(path: Path, pipeline: InputPipeline) -> NDArray[np.uint8]:
    """The prepared images (n, *pipeline.shape) of a `.npy` file, left on disk until they are used.

    Raises:
        DataError: there is no such file, or its images are not what `pipeline` gives.
    """
    try:
        # A view, as rows of a memmap are each made a memmap again, which takes ten times as long.
        open_regular(path).close()
        pixels: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"prepared images {path} cannot be read ({error})", PREPARE) from None
    if pixels.dtype != np.uint8 or pixels.shape[1:] != pipeline.shape:
        shape, wanted = ("×".join(str(size) for size in shape) for shape in (pixels.shape, pipeline.shape))
        raise DataError(f"{path} has {pixels.dtype} {shape}, the engine takes uint8 images n×{wanted}", PREPARE)
    if len(pixels) < 2:
        raise DataError(f"{path} has {len(pixels)} images", "give several, so that inputs differ from run to run")
    return pixels


def make_random_pixels(pipeline: InputPipeline, seed: int = 0, count: int = RANDOM_IMAGES) -> NDArray[np.uint8]:
    """Images (n, *pipeline.shape) of random bytes: zeros would be faster on some chips than any photograph."""
    return np.random.default_rng(seed).integers(0, 256, (count, *pipeline.shape), dtype=np.uint8)


def make_batches(
    pixels: NDArray[np.uint8], batch_size: int, spec: TensorSpec, pipeline: InputPipeline, streams: int = 1
) -> list[NDArray[Any]]:
    """Batches as `spec` takes them, `ROTATED_BYTES` together and at least two for each stream.

    Every image comes once before any comes again, each time in another order.
    """
    batch_bytes = batch_size * math.prod(size or 1 for size in spec.shape[1:]) * np.dtype(spec.dtype).itemsize
    count = max(2 * streams, -(-ROTATED_BYTES // batch_bytes))
    return [to_input(pixels[chosen], spec, pipeline) for chosen in choose_rows(len(pixels), count, batch_size)]


def choose_rows(images: int, batches: int, batch_size: int) -> NDArray[np.intp]:
    """Which images make which batch, (batches, batch_size): each once before any comes again, in another order."""
    rng = np.random.default_rng(0)
    rounds = -(-batches * batch_size // images)
    order = np.concatenate([rng.permutation(images) for _ in range(rounds)])
    return order[: batches * batch_size].reshape(batches, batch_size)


def make_fresh(
    pixels: NDArray[np.uint8], batch_size: int, spec: TensorSpec, pipeline: InputPipeline, rng: np.random.Generator
) -> NDArray[Any]:
    """A batch that is new: images moved down by some rows, their lowest bits drawn anew."""
    chosen = pixels[rng.integers(len(pixels), size=batch_size)]
    moved = np.roll(chosen, int(rng.integers(pixels.shape[1])), axis=1)
    return to_input(moved ^ rng.integers(0, 2, moved.shape, dtype=np.uint8), spec, pipeline)
