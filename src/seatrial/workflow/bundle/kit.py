"""The kit of expected answers: drawn pictures, their pixels behind the card's steps, and the engine's scores."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from seatrial.data.preprocessing.input_pipeline import InputPipeline, read_pipeline, to_input
from seatrial.engines import get_engine
from seatrial.engines.base import EngineFile, run_padded
from seatrial.engines.self_test import draw_pictures
from seatrial.errors import DataError
from seatrial.recipes.steps import Size

EXPECTED = "expected.npz"
SHAPES = {"wide": (1.2, 1.9), "tall": (1.4, 0.9)}
"""Height and width of the pictures, by those of the engine's input: they are shrunk, stretched and cut."""
SMALLER = {"wide": (0.5, 0.9), "tall": (0.9, 0.6)}
"""Where the card's steps take no larger ones."""
SUFFIXES = {"wide": "jpg", "tall": "png"}


def write_kit(folder: Path, file: EngineFile) -> tuple[str, ...]:
    """Fill `folder` with pictures and `expected.npz`; returns the pictures' names in its order.

    Raises:
        DataError: the card's steps take no picture.
        EngineError: the engine cannot be opened here.
    """
    pipeline = read_pipeline(file.manifest.graph)
    folder.mkdir()
    names = _draw_all(folder, pipeline)
    pixels = np.stack([pipeline.load(folder / name) for name in names])
    with get_engine(file.manifest.engine).open(file, file.manifest.device, 1) as session:
        inputs = to_input(pixels, file.manifest.input, pipeline)
        logits = np.concatenate([run_padded(session, inputs[row : row + 1]) for row in range(len(inputs))])
    np.savez_compressed(folder / EXPECTED, pixels=pixels, logits=logits.astype(np.float32))
    return names


def _draw_all(folder: Path, pipeline: InputPipeline) -> tuple[str, ...]:
    height, width = pipeline.recipe.input_size
    names: list[str] = []
    for kind in SHAPES:
        for share in (SHAPES, SMALLER):
            size = int(height * share[kind][0]) + 1, int(width * share[kind][1]) + 1
            drawn = _draw(folder, kind, size)
            try:
                pipeline.load(folder / drawn[0])
                break
            except DataError:
                if share is SMALLER:
                    raise
        names += drawn
    return tuple(names)


def _draw(folder: Path, kind: str, size: Size) -> Sequence[str]:
    names = []
    for number, pixels in enumerate(draw_pictures((*size, 3)), start=1):
        names.append(f"{kind}-{number}.{SUFFIXES[kind]}")
        Image.fromarray(pixels).save(folder / names[-1], quality=92)
    return names
