"""What explains one preprocessing by another: each change alone, and two together."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seatrial.data.preprocessing.input_pipeline import decode_pixels
from seatrial.data.preprocessing.steps import normalise
from seatrial.diagnosis.explain_preprocessing import describe_difference, fit_planes
from seatrial.recipes.schema import Recipe

STEPS = [
    {"step": "resize", "short_side": 36},
    {"step": "center_crop", "size": [32, 32]},
    {"step": "to_float"},
    {"step": "normalise", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
]


def make_recipe(steps: list[dict[str, object]]) -> Recipe:
    data = {"name": "some", "title": "Some", "network": {"name": "some", "classes": 4}, "preprocess": steps}
    return Recipe.read(data, "test")


RECIPE = make_recipe(STEPS)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Colourful noise, larger than the network's input."""
    folder, rng = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    made = [folder / f"noise_{i}.png" for i in range(4)]
    for path in made:
        coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        coarse.resize((120, 90), Image.Resampling.BICUBIC).save(path)
    return made


def load(paths: list[Path], recipe: Recipe = RECIPE) -> np.ndarray:
    return np.stack([decode_pixels(path.read_bytes(), str(path), recipe.preprocess) for path in paths])


def describe(values: np.ndarray, paths: list[Path]) -> str:
    return describe_difference({"": values.astype(np.float32)}, load(paths), paths, RECIPE)


def scale(pixels: np.ndarray, mean: object, std: object) -> np.ndarray:
    levels = (pixels / 255 - np.asarray(mean)) / np.asarray(std)
    return levels.transpose(0, 3, 1, 2)


MEAN, STD = RECIPE.normalisation
CHANGES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "none": (lambda p: scale(p, MEAN, STD), "the same but for rounding"),
    "half a level": (lambda p: scale(p + 0.5, MEAN, STD), "the same but for rounding"),
    "swapped before": (lambda p: scale(p[..., ::-1], MEAN, STD), "it looks like this: red and blue are swapped"),
    "swapped after": (
        lambda p: scale(p, MEAN, STD)[:, ::-1],
        "it looks like this: red and blue are swapped (BGR for RGB)",
    ),
    "means": (
        lambda p: scale(p, MEAN[::-1], STD[::-1]),
        "it looks like this: mean and standard deviation are in BGR order, the channels are not",
    ),
    "raw": (lambda p: scale(p, 0, 1 / 255), "it looks like this: not normalised: levels 0..255"),
    "unit": (lambda p: scale(p, 0, 1), "it looks like this: not normalised: values 0..1"),
    "others": (
        lambda p: scale(p, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
        "mean 0.500 0.400 0.300 and standard deviation 0.200 0.300 0.400 in place of the card's",
    ),
    "up": (lambda p: scale(np.roll(p, -2, axis=1), MEAN, STD), "the crop lies 2 lower (pixels)"),
    "two": (
        lambda p: scale(np.roll(p, (3, -1), axis=(1, 2))[..., ::-1], 0, 1),
        "the crop lies 3 higher and 1 further right (pixels) and red and blue are swapped (BGR for RGB) "
        "and not normalised: values 0..1",
    ),
    "noise": (lambda p: np.random.default_rng(1).normal(size=(4, 3, 32, 32)), "way of resizing explains it"),
    "nan": (lambda p: scale(p, MEAN, STD) * np.nan, "some values are NaN or infinite"),
    "constant": (lambda p: np.zeros((4, 3, 32, 32)), "way of resizing explains it (255.0 levels are left)"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_put_into_words(change: str, paths: list[Path]) -> None:
    make, words = CHANGES[change]
    assert words in describe(make(load(paths).astype(np.float64)), paths)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"short_side": 36, "interpolation": "bicubic"}, "resized with Pillow's bicubic filter"),
        ({"size": [36, 36]}, "resized to a square, whatever the aspect ratio with Pillow's bilinear filter"),
        ({"size": [32, 32]}, "resized straight to the network's size, without a crop with Pillow's bilinear filter"),
    ],
)
def test_another_resize_is_named(step: dict[str, object], words: str, paths: list[Path]) -> None:
    other = make_recipe([{"step": "resize", **step}, *STEPS[1:]])
    assert describe(normalise(load(paths, other), RECIPE), paths) == f"it looks like this: {words}"


def test_a_grey_picture_is_not_called_swapped() -> None:
    grey = np.random.default_rng(0).uniform(0, 255, (1, 1, 8, 8)).repeat(3, axis=1)
    fit = fit_planes("", (grey / 255).astype(np.float32), grey)
    assert not fit.swapped and fit.left < 1e-3 and fit.scale == pytest.approx([1 / 255] * 3)


def test_what_was_read_another_way_is_named(paths: list[Path]) -> None:
    pixels = load(paths)
    floats = normalise(pixels, RECIPE)
    wrong = np.ascontiguousarray(floats.transpose(0, 2, 3, 1)).reshape(floats.shape)
    told = describe_difference({"": wrong, "layout": floats}, pixels, paths, RECIPE)
    assert told == "it looks like this: layout"
