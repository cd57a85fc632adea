import itertools
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as torchvision

from fake_engine import STEPS, make_recipe
from seatrial.data.preprocessing.steps import (
    apply_pixel_steps,
    center_crop,
    check_range,
    find_target,
    hash_steps,
    normalise,
    resize,
)
from seatrial.errors import DataError
from seatrial.recipes import load_recipe
from seatrial.recipes.steps import CenterCrop, Pad, Resize


def draw(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng([width, height])
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def assert_same(ours: Image.Image, theirs: Image.Image) -> None:
    assert ours.size == theirs.size
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def resize_in_two_passes(image: Image.Image, height: int, width: int, mode: InterpolationMode) -> Image.Image:
    """Rows first, then columns, which is what Pillow before 13.0 does when it is asked for both at once."""
    return torchvision.resize(torchvision.resize(image, [image.height, width], mode), [height, width], mode)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("short_side", [9, 32, 33])
def test_resizing_the_short_side_is_torchvisions(short_side: int, interpolation: str) -> None:
    for width, height in itertools.product([7, 9, 32, 33, 47, 100], repeat=2):
        step = Resize.model_validate({"step": "resize", "short_side": short_side, "interpolation": interpolation})
        image = draw(width, height)
        theirs = torchvision.resize(image, short_side, MODES[interpolation])
        assert_same(resize(image, step), resize_in_two_passes(image, theirs.height, theirs.width, MODES[interpolation]))
        if interpolation == "bilinear":
            difference = np.asarray(resize(image, step)).astype(np.int64) - np.asarray(theirs)
            assert np.abs(difference).max() <= 1


def test_the_long_side_is_truncated_as_torchvision_does() -> None:
    for short_side, long in itertools.product([7, 8, 11], range(13, 400, 3)):
        step = Resize(step="resize", short_side=short_side)
        for size in [(long, 13), (13, long)]:
            image = Image.new("RGB", size)
            assert resize(image, step).size == torchvision.resize(image, short_side).size


def test_a_fitting_short_side_leaves_the_image_alone() -> None:
    image = draw(40, 30)
    assert resize(image, Resize(step="resize", short_side=30)) is image
    assert resize(image, Resize(step="resize", size=(30, 40))) is image


def test_two_sizes_squash() -> None:
    for width, height in [(7, 50), (50, 7), (24, 30)]:
        image = draw(width, height)
        expected = resize_in_two_passes(image, 24, 30, InterpolationMode.BILINEAR)
        assert_same(resize(image, Resize(step="resize", size=(24, 30))), expected)


def test_cropping_is_torchvisions_black_around_small_images_too() -> None:
    for width, height in itertools.product([3, 4, 5, 6, 7, 8, 9, 10, 11, 12], repeat=2):
        for size in [(7, 7), (8, 5), (10, 12)]:
            image = draw(width, height)
            step = CenterCrop(step="center_crop", size=size)
            assert_same(center_crop(image, step), torchvision.center_crop(image, list(size)))


@pytest.mark.parametrize(
    ("spare", "half_even", "truncate"), [(0, 0, 0), (1, 0, 0), (2, 1, 1), (3, 2, 1), (4, 2, 2), (5, 2, 2), (7, 4, 3)]
)
def test_half_a_pixel_is_rounded_as_the_card_says(spare: int, half_even: int, truncate: int) -> None:
    ramp = np.arange(10 + spare, dtype=np.uint8)
    image = Image.fromarray(np.stack(np.broadcast_arrays(ramp[None, :], ramp[:, None], np.uint8(0)), axis=2))
    for offset, left in (("half_even", half_even), ("truncate", truncate)):
        step = CenterCrop.model_validate({"step": "center_crop", "size": [10, 10], "offset": offset})
        cut = np.asarray(center_crop(image, step))
        assert cut.shape == (10, 10, 3)
        assert cut[0, 0, :2].tolist() == [left, left]


def test_pixel_steps_run_in_order_and_stop_before_floats() -> None:
    recipe = make_recipe(preprocess=[{"step": "resize", "short_side": 9}, *STEPS])
    found = apply_pixel_steps(draw(20, 31), recipe.preprocess)
    expected = torchvision.center_crop(torchvision.resize(draw(20, 31), 9), [4, 6])
    np.testing.assert_array_equal(found, np.asarray(expected))
    assert found.dtype == np.uint8


def test_normalising_is_torchvisions() -> None:
    pixels = np.arange(256, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    recipe = make_recipe(preprocess=[*STEPS[:2], {"step": "normalise", "mean": mean, "std": std}])
    found = normalise(pixels, recipe)
    tensors = [torchvision.normalize(torchvision.to_tensor(image), mean, std).numpy() for image in pixels]
    np.testing.assert_array_equal(found, np.stack(tensors))
    assert found.flags.c_contiguous


def test_without_a_normalise_step_pixels_lie_in_0_to_1() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    found = normalise(pixels, make_recipe(preprocess=STEPS[:2]))
    assert found.shape == (2, 3, 4, 6)
    np.testing.assert_array_equal(found, pixels.transpose(0, 3, 1, 2) / np.float32(255))


BASE: list[dict[str, Any]] = [{"step": "resize", "short_side": 36}, *STEPS]


def change(index: int, **changes: object) -> list[dict[str, Any]]:
    return [step | changes if row == index else step for row, step in enumerate(BASE)]


def test_any_change_of_a_step_changes_the_hash() -> None:
    variants = [
        BASE,
        BASE[1:],
        BASE[:3],
        [BASE[1], BASE[0], BASE[1], *BASE[2:]],
        change(0, short_side=37),
        change(0, interpolation="bicubic"),
        [{"step": "resize", "size": [36, 36]}, *BASE[1:]],
        change(1, size=[6, 4]),
        change(1, offset="truncate"),
        change(3, mean=[0.5, 0.25, 0.1251]),
        change(3, std=[0.5, 0.25, 0.1251]),
    ]
    hashes = {hash_steps(make_recipe(preprocess=steps).preprocess) for steps in variants}
    assert len(hashes) == len(variants)


def test_only_the_steps_make_the_hash() -> None:
    spelled_out = change(0, interpolation="bilinear")
    assert hash_steps(make_recipe(preprocess=spelled_out).preprocess) == hash_steps(
        make_recipe(preprocess=BASE).preprocess
    )
    renamed = make_recipe(preprocess=BASE, name="another", title="Another", network={"name": "x", "classes": 9})
    assert hash_steps(renamed.preprocess) == hash_steps(make_recipe(preprocess=BASE).preprocess)
    assert hash_steps(renamed.find_mode().preprocess) == hash_steps(renamed.preprocess)


@pytest.mark.parametrize(
    ("change", "sound"), [(1.0, True), (1.004, True), (255.0, False), (1.1, False), (np.nan, False)]
)
def test_floats_that_normalisation_makes_of_no_pixels_are_refused(change: float, sound: bool) -> None:
    recipe = load_recipe("resnet50")
    pixels = np.zeros((1, 4, 4, 3), np.uint8)
    pixels[:, ::2] = 255
    floats = (normalise(pixels, recipe) * change).astype(np.float32)[0]
    if sound:
        check_range(floats, "a.bin", recipe)
        return
    with pytest.raises(DataError, match=r"a\.bin has values from .*; divide by 255, subtract the mean"):
        check_range(floats, "a.bin", recipe)


@pytest.mark.parametrize(
    ("step", "size", "target"),
    [
        ({"short_side": 256}, (500, 333), (384, 256)),
        ({"short_side": 256, "max_size": 300}, (500, 333), (300, 200)),
        ({"long_side": 256}, (500, 333), (256, 170)),
        ({"long_side": 256}, (333, 500), (170, 256)),
        ({"cover": (100, 200)}, (500, 333), (200, 133)),
        ({"cover": (200, 100)}, (500, 333), (300, 200)),
        ({"fit": (100, 200)}, (500, 333), (150, 100)),
        ({"size": (100, 200)}, (500, 333), (200, 100)),
    ],
)
def test_the_size_that_a_resize_gives(step: dict[str, Any], size: tuple[int, int], target: tuple[int, int]) -> None:
    assert find_target(size, Resize(step="resize", **step)) == target


@pytest.mark.parametrize("kind", ["nearest", "box", "hamming", "lanczos"])
def test_every_filter_is_pillows_rows_first(kind: str) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    filtered = Image.Resampling[kind.upper()]
    rows = image.resize((25, 40), filtered).resize((25, 31), filtered)
    step = Resize.model_validate({"step": "resize", "size": (31, 25), "interpolation": kind})
    assert np.array_equal(apply_pixel_steps(image, [step]), np.asarray(rows))


def test_a_fraction_is_cropped_before_the_resize() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    cropped = apply_pixel_steps(image, [CenterCrop(step="center_crop", fraction=0.5)])
    assert np.array_equal(cropped, np.asarray(image)[10:30, 15:45])


@pytest.mark.parametrize("position", ["center", "top_left"])
def test_a_smaller_image_is_padded_with_the_colour(position: Literal["center", "top_left"]) -> None:
    image = Image.new("RGB", (3, 2), (9, 8, 7))
    padded = apply_pixel_steps(image, [Pad(step="pad", size=(4, 7), colour=(1, 2, 3), position=position)])
    expected = np.full((4, 7, 3), (1, 2, 3), dtype=np.uint8)
    top, left = (1, 2) if position == "center" else (0, 0)
    expected[top : top + 2, left : left + 3] = (9, 8, 7)
    assert np.array_equal(padded, expected)


def test_an_image_larger_than_its_pad_is_an_error() -> None:
    with pytest.raises(DataError, match="an image of 2 × 9 is larger than the pad step's 4 × 7; resize to a long_side"):
        apply_pixel_steps(Image.new("RGB", (9, 2)), [Pad(step="pad", size=(4, 7))])


def test_a_crop_pads_with_its_colour() -> None:
    crop = CenterCrop(step="center_crop", size=(4, 4), pad=(1, 2, 3))
    cut = apply_pixel_steps(Image.new("RGB", (2, 6), (9, 8, 7)), [crop])
    assert (cut[:, 1:3] == (9, 8, 7)).all() and (cut[:, [0, 3]] == (1, 2, 3)).all()
