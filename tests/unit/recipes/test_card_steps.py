"""What every step of a card must bring: its size or normalisation, its words, and something that runs it."""

import typing

import numpy as np
import pytest
from PIL import Image

from seatrial.data.preprocessing.steps import apply_pixel_steps
from seatrial.errors import UsageError
from seatrial.recipes.schema import Mode
from seatrial.recipes.steps import (
    AnyPixelStep,
    AnyTensorStep,
    CenterCrop,
    Normalise,
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
    if isinstance(step, PixelStep):
        assert apply_pixel_steps(image, [step]).shape == (*find_size([step]), 3)
        assert find_size([step.with_size((2, 4))]) == (2, 4)
    else:
        assert find_normalisation([step]) == ((0.5, 0.4, 0.3), (0.2, 0.25, 0.5)) or isinstance(step, ToFloat)
    assert dump_steps([step])[0]["step"] == step.step
    assert step.describe()


def test_steps_in_words() -> None:
    assert [step.describe() for step in (*EXAMPLES, Resize(step="resize", short_side=9, interpolation="bicubic"))] == [
        "resize to 6 × 8 (bilinear)",
        "crop the middle 4 × 6",
        "divide by 255",
        "subtract the mean 0.5 / 0.4 / 0.3 and divide by 0.2 / 0.25 / 0.5",
        "resize the short side to 9 (bicubic)",
    ]


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


def test_the_pixel_steps_of_a_card() -> None:
    assert pixel_steps(EXAMPLES) == EXAMPLES[:2]


@pytest.mark.parametrize("order", [(2, 0, 1), (0, 1, 3), (0, 1, 2, 2), (0, 1, 3, 2)])
def test_steps_in_a_wrong_order_are_refused(order: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="from pixel steps to to_float and then to normalise, each at most once"):
        Mode.read({"preprocess": dump_steps([EXAMPLES[i] for i in order])}, "card.toml")
