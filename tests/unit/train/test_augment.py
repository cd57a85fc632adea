from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop

from fake_engine import make_recipe
from seatrial.train.augment import draw_crop, load_augmented

SIZES = [(500, 375), (64, 64), (1, 1), (1, 50), (50, 1), (3, 2), (1000, 10), (10, 1000)]


@pytest.mark.parametrize("min_scale", [0.08, 1.0])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_crop_lies_inside_the_image(width: int, height: int, min_scale: float) -> None:
    rng = np.random.default_rng([width, height])
    for _ in range(500):
        left, top, right, bottom = draw_crop(width, height, min_scale, rng)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def draw_as_torchvision(width: int, height: int, min_scale: float, count: int) -> np.ndarray:
    image = Image.new("1", (width, height))
    drawn = [RandomResizedCrop.get_params(image, [min_scale, 1.0], [3 / 4, 4 / 3]) for _ in range(count)]
    return np.array([(left, top, left + w, top + h) for top, left, h, w in drawn])


def describe(boxes: np.ndarray) -> np.ndarray:
    """Area, log aspect, their squares, and the middle of each box."""
    left, top, right, bottom = boxes.astype(np.float64).T
    area, aspect = (right - left) * (bottom - top), np.log((right - left) / (bottom - top))
    return np.stack([area, aspect, area**2, aspect**2, left + right, top + bottom, (left + right) ** 2])


@pytest.mark.parametrize(("width", "height", "min_scale"), [(500, 375, 0.08), (90, 130, 0.6), (300, 60, 0.5)])
def test_crops_are_distributed_as_torchvisions(width: int, height: int, min_scale: float) -> None:
    count = 2000
    rng = np.random.default_rng(7)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        theirs = describe(draw_as_torchvision(width, height, min_scale, count))
    ours = describe(np.array([draw_crop(width, height, min_scale, rng) for _ in range(count)]))
    error = np.sqrt((ours.var(axis=1) + theirs.var(axis=1)) / count)
    distance = np.abs(ours.mean(axis=1) - theirs.mean(axis=1))
    assert (distance <= 4 * error + 1e-9).all(), distance / np.maximum(error, 1e-9)


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [(100, 10, (43, 0, 56, 10)), (10, 100, (0, 43, 10, 56)), (40, 40, (0, 0, 40, 40)), (40, 36, (0, 0, 40, 36))],
)
def test_an_image_that_no_crop_fits_gives_its_middle(width: int, height: int, box: tuple[int, int, int, int]) -> None:
    class Huge:
        """Draws the largest crop, of an aspect that does not fit."""

        def uniform(self, low: float, high: float) -> float:
            return high if low > 0 else (low if width >= height else high)

    # Area 1 and aspect 4/3 or 3/4 only fit an image of that very shape.
    assert draw_crop(width, height, 1.0, Huge()) == box  # type: ignore[arg-type]


def make_gradient(folder: Path) -> Path:
    """Red grows to the right, green downwards."""
    ramp = np.arange(0, 200, 2, dtype=np.uint8)
    pixels = np.stack(np.broadcast_arrays(ramp[None, :], ramp[:80, None], np.uint8(7)), axis=2)
    Image.fromarray(np.ascontiguousarray(pixels)).save(folder / "gradient.png")
    return folder / "gradient.png"


def test_an_image_comes_at_the_networks_size_mirrored_half_of_the_time(tmp_path: Path) -> None:
    path = make_gradient(tmp_path)
    recipe = make_recipe(train={"min_scale": 0.5, "flip": True})
    mirrored = 0
    for seed in range(200):
        pixels = load_augmented(path, recipe, np.random.default_rng(seed)).astype(np.int64)
        assert pixels.shape == (4, 6, 3)
        to_the_right = (np.diff(pixels[:, :, 0], axis=1) > 0).all()
        assert to_the_right or (np.diff(pixels[:, :, 0], axis=1) < 0).all()
        assert (np.diff(pixels[:, :, 1], axis=0) > 0).all() and (pixels[:, :, 2] == 7).all()
        mirrored += not to_the_right
    assert 70 <= mirrored <= 130


def test_digits_are_not_mirrored_and_a_seed_gives_the_same_pixels(tmp_path: Path) -> None:
    path = make_gradient(tmp_path)
    recipe = make_recipe(train={"min_scale": 0.5, "flip": False})
    for seed in range(30):
        pixels, again = (load_augmented(path, recipe, np.random.default_rng(seed)) for _ in range(2))
        assert (np.diff(pixels[:, :, 0].astype(np.int64), axis=1) > 0).all()
        np.testing.assert_array_equal(pixels, again)


def test_a_whole_image_is_only_resized(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    steps = [{"step": "center_crop", "size": [4, 4]}, {"step": "to_float"}]
    recipe = make_recipe(preprocess=steps, train={"min_scale": 1.0, "flip": False})
    found = [load_augmented(tmp_path / "a.png", recipe, np.random.default_rng(seed)) for seed in range(9)]
    assert any(np.array_equal(image, pixels) for image in found)
