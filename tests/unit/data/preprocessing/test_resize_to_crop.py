"""What a crop cuts off is partly not made at all; these hold the rest against making all of it."""

import numpy as np
import pytest
from PIL import Image

from seatrial.data.preprocessing.steps import (
    apply_pixel_steps,
    center_crop,
    find_rows,
    find_target,
    resize,
    to_pixels,
    trace_pixel_steps,
)
from seatrial.recipes import list_cards, load_recipe
from seatrial.recipes.steps import CenterCrop, Resize

SIZES = [(500, 375), (333, 501), (257, 256), (181, 120), (64, 3), (300, 300)]


def draw(size: tuple[int, int]) -> Image.Image:
    rng = np.random.default_rng(size)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("offset", ["half_even", "truncate"])
@pytest.mark.parametrize("scale", [{"short_side": 256}, {"short_side": 100}, {"size": (128, 64)}, {"size": (90, 256)}])
@pytest.mark.parametrize("crop", [(57, 40), (100, 300), (224, 224)])
def test_what_is_kept_has_the_same_pixels(
    size: tuple[int, int], interpolation: str, offset: str, scale: dict[str, object], crop: tuple[int, int]
) -> None:
    steps = (
        Resize.model_validate({"step": "resize", "interpolation": interpolation, **scale}),
        CenterCrop.model_validate({"step": "center_crop", "offset": offset, "size": crop}),
    )
    image = draw(size)
    whole = np.asarray(center_crop(resize(image, steps[0]), steps[1]))
    assert np.array_equal(apply_pixel_steps(image, steps), whole)
    assert np.array_equal(apply_pixel_steps(np.asarray(image), steps), whole)
    padded = np.dstack([np.asarray(image), np.full(size[::-1], 7, np.uint8)])
    assert np.array_equal(apply_pixel_steps(padded, steps), whole)


@pytest.mark.parametrize(
    ("interpolation", "first", "last"),
    # 256 rows of 375, of which 224 from the 16th on: their middles lie 1.465 apart, from 24.17 to 350.83.
    [("bilinear", 21, 354), ("bicubic", 20, 355), ("lanczos", 18, 357)],
)
def test_rows_that_nothing_is_made_of_are_not_looked_at(interpolation: str, first: int, last: int) -> None:
    step = Resize.model_validate({"step": "resize", "short_side": 256, "interpolation": interpolation})
    crop = CenterCrop(step="center_crop", size=(224, 224))
    assert find_rows((500, 375), step, crop) == range(first, last)
    pixels = np.array(draw((500, 375)))
    kept = apply_pixel_steps(pixels, (step, crop))
    pixels[:first], pixels[last:] = 0, 255
    assert np.array_equal(apply_pixel_steps(pixels, (step, crop)), kept)
    # One row further in than the safe one, and the one beside it, every pixel counts.
    pixels[first + 3] = 255 - pixels[first + 3]
    assert not np.array_equal(apply_pixel_steps(pixels, (step, crop)), kept)


@pytest.mark.parametrize("step", [{"interpolation": "nearest"}, {"backend": "tensor"}, {"short_side": 235}])
def test_all_rows_are_used_where_less_would_not_be_exact(step: dict[str, object]) -> None:
    steps = (
        Resize.model_validate({"step": "resize", "short_side": 256, **step}),
        CenterCrop(step="center_crop", size=(224, 224)),
    )
    assert find_rows((500, 375), *steps) == range(375)
    image = draw((500, 375))
    assert np.array_equal(apply_pixel_steps(np.asarray(image), steps), apply_pixel_steps(image, steps))


def test_tracing_makes_all_of_it_and_ends_in_the_same_pixels() -> None:
    for name in list_cards():
        steps = load_recipe(name).preprocess
        image = draw((500, 375))
        (first, whole), *_, (_, last) = trace_pixel_steps(image, steps)
        assert isinstance(first, Resize) and whole.size == find_target(image.size, first)
        assert np.array_equal(to_pixels(last), apply_pixel_steps(image, steps))


def test_the_cards_preprocessings_do_less() -> None:
    for name in list_cards():
        first, second = load_recipe(name).preprocess[:2]
        assert isinstance(first, Resize) and isinstance(second, CenterCrop)
        assert resize(draw((500, 375)), first, second).size == (224, 224)


def test_a_side_so_long_that_single_precision_rounds_is_made_whole() -> None:
    step = Resize(step="resize", size=(256, 256))
    crop = CenterCrop(step="center_crop", size=(224, 224))
    assert resize(Image.new("RGB", (69_906, 2)), step, crop).size == (224, 224)
    image = draw((69_907, 3))
    assert np.array_equal(resize(image, step, crop), np.asarray(center_crop(resize(image, step), crop)))
