"""Tiny images of noise, a few of them under as many names as a test wants."""

from pathlib import Path

import numpy as np
from PIL import Image

from fake_engine import CLASSES
from seatrial.data.images import LabelledImage
from seatrial.evaluation.select import repeat_images

DISTINCT = 50


def list_noise(folder: Path, count: int) -> tuple[LabelledImage, ...]:
    """Write `DISTINCT` images for `fake_engine`'s card, where they are not there yet, and list `count`."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    images = []
    for index in range(DISTINCT):
        path = folder / f"{index:02d}.png"
        picture = Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8))
        if not path.exists():
            picture.save(path)
        images.append(LabelledImage(path.name, path, index % CLASSES))
    return repeat_images(images, count)
