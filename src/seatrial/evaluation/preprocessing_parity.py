"""A card's preprocessing against that of the library which described the model, before any engine is blamed."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.preprocessing.decode import decode_image, read_file
from seatrial.data.preprocessing.steps import apply_pixel_steps, hash_steps, normalise
from seatrial.models.sources.resolve import Transform, find_transform
from seatrial.recipes.schema import Recipe
from seatrial.recipes.steps import Resize
from seatrial.store.preprocessing_proof import PixelDifference, PreprocessingProof

IMAGES = 32
"""To compare."""
SAME_LEVELS = 1e-3
"""Of 255: the order in which floats are scaled and shifted moves a value by so much or less."""
SIZES = ((640, 427), (427, 640), (333, 500), (210, 37), (61, 64), (225, 224), (500, 500), (3, 11))
"""Width and height of drawn images, in turns."""
MODES = ("RGB", "L", "RGB", "P", "CMYK", "RGBA", "LA", "1")


def prove_preprocessing(recipe: Recipe, paths: Sequence[Path] = ()) -> PreprocessingProof | None:
    """Compare the card's steps with its library's own transform.

    Args:
        paths: images; without any, drawn ones are taken.

    Returns:
        None where the card was not resolved from a library, or is not the library's in its preprocessing.

    Raises:
        EngineError: the library is not installed.
        DataError: one of the files is no image.
    """
    transform = find_transform(recipe)
    if transform is None or recipe.origin is None:
        return None
    files = [(str(path), read_file(path)) for path in paths] or list(draw_files())
    own = [
        normalise(apply_pixel_steps(decode_image(data, name), recipe.preprocess)[None], recipe)[0]
        for name, data in files
    ]
    with rows_first():
        exact = [_compare(recipe, each, transform, data) for each, (_, data) in zip(own, files, strict=True)]
    installed = [_compare(recipe, each, transform, data) for each, (_, data) in zip(own, files, strict=True)]
    on_tensors = any(isinstance(step, Resize) and step.backend == "tensor" for step in recipe.preprocess)
    return PreprocessingProof(
        preprocess=hash_steps(recipe.preprocess),
        origin=recipe.origin,
        images=len(files),
        drawn=not paths,
        allowed_levels=1 if on_tensors else 0,
        difference=_sum_up(exact),
        installed=_sum_up(installed),
        pillow=PIL.__version__,
    )


def draw_files(count: int = IMAGES) -> Iterator[tuple[str, bytes]]:
    """Images of odd sizes, modes and shapes, with their names, as PNG, TIFF and JPEG files."""
    rng = np.random.default_rng(0)
    for index in range(count):
        size, mode = SIZES[index % len(SIZES)], MODES[(index + index // len(MODES)) % len(MODES)]
        width, height = size
        coarse = rng.integers(0, 256, (max(1, height // 9), max(1, width // 9), 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
        grain = rng.integers(-40, 41, smooth.shape)
        picture = Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).convert(mode)
        kind = "TIFF" if mode == "CMYK" else "JPEG" if mode == "RGB" and index % 2 else "PNG"
        file = io.BytesIO()
        picture.save(file, kind)
        yield f"drawn-{index}-{mode}-{width}x{height}", file.getvalue()


@contextmanager
def rows_first() -> Iterator[None]:
    """Let Pillow resize rows first, then columns, in whoever's code: two calls of one axis each."""
    plain = Image.Image.resize

    def resize(image: Image.Image, size: Any, resample: Any = None, box: Any = None, **other: Any) -> Image.Image:
        width, height = size
        if box is not None or resample == Image.Resampling.NEAREST or width == image.width or height == image.height:
            return plain(image, (width, height), resample, box, **other)
        return plain(plain(image, (width, image.height), resample), (width, height), resample)

    with patch.object(Image.Image, "resize", resize):
        yield


def _compare(recipe: Recipe, own: NDArray[np.float32], transform: Transform, data: bytes) -> tuple[int, int, float]:
    """How many values there are, how many differ, and the largest difference in levels."""
    # As the data sets of timm and torchvision read a file; of a network of one channel timm's in grey.
    with Image.open(io.BytesIO(data)) as file:
        theirs = transform(file.convert("L" if recipe.channels == 1 else "RGB"))
    if own.shape != theirs.shape:
        return own.size, own.size, 255.0
    levels = np.abs(own - theirs) * (255 * np.asarray(recipe.normalisation[1], np.float32))[:, None, None]
    return own.size, int((levels > SAME_LEVELS).sum()), float(levels.max())


def _sum_up(found: Sequence[tuple[int, int, float]]) -> PixelDifference:
    values, differing, levels = zip(*found, strict=True)
    return PixelDifference(share=sum(differing) / sum(values), largest_levels=max(levels))
