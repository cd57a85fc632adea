"""What every step of a card must bring: its size or normalisation, its words, and something that runs it."""

import typing

import numpy as np
import pytest
import torch
from PIL import Image

from seatrial.data.preprocessing.steps import apply_pixel_steps
from seatrial.errors import UsageError
from seatrial.recipes.schema import Mode
from seatrial.recipes.steps import (
    AnyPixelStep,
    AnyTensorStep,
    CenterCrop,
    Channels,
    Normalise,
    Pad,
    PixelStep,
    Resize,
    Step,
    TensorStep,
    ToFloat,
    dump_steps,
    find_normalisation,
    find_size,
    pixel_steps,
)

EXAMPLES: tuple[Step, ...] = (
    Resize(step="resize", size=(6, 8)),
    CenterCrop(step="center_crop", size=(4, 6)),
    Pad(step="pad", size=(20, 16)),
    Channels(step="channels", order="BGR"),
    ToFloat(step="to_float"),
    Normalise(step="normalise", mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5)),
)


def test_every_step_is_in_one_union_and_has_an_example_here() -> None:
    pixels, tensors = set(typing.get_args(AnyPixelStep)), set(typing.get_args(AnyTensorStep))
    defined = {kind for base in (PixelStep, TensorStep) for kind in base.__subclasses__()}
    assert {kind for kind in defined if kind.__module__.startswith("seatrial.")} == pixels | tensors
    assert all(issubclass(kind, PixelStep) for kind in pixels)
    assert {type(step) for step in EXAMPLES} == pixels | tensors


@pytest.mark.parametrize("step", EXAMPLES, ids=lambda step: step.step)
def test_every_step_runs_and_is_dumped_and_described(step: Step) -> None:
    image = Image.fromarray(np.arange(10 * 12 * 3, dtype=np.uint8).reshape(10, 12, 3))
    if isinstance(step, Channels):
        assert np.array_equal(apply_pixel_steps(image, [step]), np.asarray(image)[..., ::-1])
        with pytest.raises(ValueError, match="gives no size"):
            step.with_size((2, 4))
    elif isinstance(step, PixelStep):
        assert apply_pixel_steps(image, [step]).shape == (*find_size([step]), 3)
        assert find_size([step.with_size((2, 4))]) == (2, 4)
    else:
        assert find_normalisation([step]) == ((0.5, 0.4, 0.3), (0.2, 0.25, 0.5)) or isinstance(step, ToFloat)
    assert dump_steps([step])[0]["step"] == step.step
    assert step.describe()


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Resize(step="resize", size=(6, 8)), "resize to 6 × 8 (bilinear)"),
        (Resize(step="resize", short_side=9, interpolation="bicubic"), "resize the short side to 9 (bicubic)"),
        (
            Resize(step="resize", short_side=9, max_size=12, interpolation="box"),
            "resize the short side to 9, the long side to 12 at most (box)",
        ),
        (Resize(step="resize", long_side=9, backend="tensor"), "resize the long side to 9 (bilinear, on tensors)"),
        (
            Resize(step="resize", cover=(6, 8), backend="tensor", antialias=False),
            "resize to cover 6 × 8 (bilinear, on tensors without antialiasing)",
        ),
        (Resize(step="resize", fit=(6, 8)), "resize to fit into 6 × 8 (bilinear)"),
        (CenterCrop(step="center_crop", size=(4, 6)), "crop the middle 4 × 6"),
        (CenterCrop(step="center_crop", fraction=0.875), "crop the middle 0.875 of each side"),
        (
            CenterCrop(step="center_crop", size=(4, 6), pad=(124, 116, 104)),
            "crop the middle 4 × 6, padded with 124 / 116 / 104",
        ),
        (Pad(step="pad", size=(4, 6), position="top_left"), "pad to 4 × 6 with 0 / 0 / 0, image top_left"),
        (Channels(step="channels", order="BGR"), "swap red and blue (BGR)"),
        (Channels(step="channels", order="L"), "convert to grey, one channel (L)"),
        (Channels(step="channels", order="L", backend="tensor"), "convert to grey, one channel (on tensors)"),
        (ToFloat(step="to_float"), "divide by 255"),
        (EXAMPLES[-1], "subtract the mean 0.5 / 0.4 / 0.3 and divide by 0.2 / 0.25 / 0.5"),
    ],
)
def test_steps_in_words(step: Step, words: str) -> None:
    assert step.describe() == words


@pytest.mark.parametrize(
    ("step", "refusal"),
    [
        ({"step": "resize"}, "one of short_side, long_side, cover, fit, size, not none"),
        ({"step": "resize", "short_side": 9, "size": [6, 8]}, "not short_side and size"),
        ({"step": "resize", "short_side": 9, "max_size": 9}, "max_size belongs to a short_side that is smaller"),
        ({"step": "resize", "long_side": 9, "max_size": 12}, "max_size belongs to a short_side"),
        ({"step": "resize", "short_side": 9, "antialias": False}, "antialias = false needs backend = 'tensor'"),
        (
            {"step": "resize", "short_side": 9, "backend": "tensor", "interpolation": "lanczos"},
            "backend = 'tensor' has no interpolation lanczos",
        ),
        ({"step": "center_crop"}, "either size or fraction"),
        ({"step": "center_crop", "size": [4, 6], "fraction": 0.5}, "either size or fraction"),
        ({"step": "channels", "order": "BGR", "backend": "tensor"}, "backend belongs to order = 'L'"),
        ({"step": "normalise", "mean": [0.5, 0.5, 0.5], "std": [0.5]}, "mean has 3 numbers and std 1"),
    ],
)
def test_what_a_step_cannot_be(step: dict[str, object], refusal: str) -> None:
    with pytest.raises(UsageError, match=refusal):
        Mode.read({"preprocess": [step, {"step": "resize", "size": [6, 8]}]}, "card.toml")


def test_options_that_came_later_do_not_change_what_steps_are_known_by() -> None:
    assert dump_steps([Resize(step="resize", short_side=9), CenterCrop(step="center_crop", size=(4, 6))]) == [
        {"step": "resize", "short_side": 9, "interpolation": "bilinear"},
        {"step": "center_crop", "size": [4, 6], "offset": "half_even"},
    ]
    with_backend = dump_steps([Resize(step="resize", short_side=9, backend="tensor", antialias=False)])
    assert (with_backend[0]["backend"], with_backend[0]["antialias"]) == ("tensor", False)


def test_a_class_that_lacks_what_a_step_must_bring_cannot_be_built() -> None:
    class Flip(PixelStep):
        step: str = "flip"

    with pytest.raises(TypeError, match="abstract"):
        Flip()  # type: ignore[abstract]


def test_normalisations_add_up() -> None:
    again = Normalise(step="normalise", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    mean, std = find_normalisation([*EXAMPLES, again])
    assert np.allclose(mean, (0.6, 0.525, 0.55))
    assert np.allclose(std, (0.1, 0.125, 0.25))


GREY = {"step": "channels", "order": "L"}


@pytest.mark.parametrize(
    ("channels", "values", "refusal"),
    [
        ([], [0.5], "normalise has 1 values each, and the steps give 3 channels: .* order = 'L' where the network"),
        ([GREY], [0.5, 0.4, 0.3], "normalise has 3 values each, and the steps give 1 channels: give one value"),
        ([GREY], [0.5, 0.4], "normalise has 2 values each"),
        ([{"step": "channels", "order": "BGR"}, GREY], [0.5], "grey is made of red, green and blue as they are"),
    ],
)
def test_as_many_values_as_channels(channels: list[dict[str, str]], values: list[float], refusal: str) -> None:
    steps = [{"step": "resize", "size": [6, 8]}, *channels, {"step": "to_float"}]
    with pytest.raises(UsageError, match=refusal):
        Mode.read({"preprocess": [*steps, {"step": "normalise", "mean": values, "std": values}]}, "card.toml")


def test_grey_is_pillows_or_torchvisions() -> None:
    from torchvision.transforms.v2 import functional

    pixels = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    steps = {kind: Channels.model_validate({**GREY, "backend": kind}) for kind in ("pillow", "tensor")}
    made = {kind: apply_pixel_steps(image, [step]) for kind, step in steps.items()}
    assert np.array_equal(made["pillow"][..., 0], np.asarray(image.convert("L")))
    theirs = functional.rgb_to_grayscale(torch.from_numpy(pixels).permute(2, 0, 1))
    assert np.array_equal(made["tensor"][..., 0], theirs[0].numpy())
    # Grey files stay as they are, also resized by each arithmetic.
    grey = Image.fromarray(pixels[..., 0]).convert("RGB")
    assert np.array_equal(apply_pixel_steps(grey, [steps["pillow"]])[..., 0], pixels[..., 0])
    for backend in ("pillow", "tensor"):
        smaller = Resize(step="resize", size=(4, 5), backend=backend)
        again = apply_pixel_steps(grey, [steps["pillow"], smaller])
        assert again.shape == (4, 5, 1) and np.array_equal(again, apply_pixel_steps(grey, [smaller])[..., :1])
    assert dump_steps([steps["pillow"], steps["tensor"]]) == [GREY, {**GREY, "backend": "tensor"}]


def test_the_pixel_steps_of_a_card() -> None:
    assert pixel_steps(EXAMPLES) == EXAMPLES[:4]


@pytest.mark.parametrize("order", [(4, 0, 1), (0, 1, 5), (0, 1, 4, 4), (0, 1, 5, 4)])
def test_steps_in_a_wrong_order_are_refused(order: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="from pixel steps to to_float and then to normalise, each at most once"):
        Mode.read({"preprocess": dump_steps([EXAMPLES[i] for i in order])}, "card.toml")
