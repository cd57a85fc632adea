"""The steps that a card's preprocessing is made of: their options, the size they give, and what they do in words.

A new step is a class here and a member of `AnyPixelStep` or `AnyTensorStep`; `data.preprocessing.steps` runs pixel
steps. Tensor steps are run, and written into graphs, as the one mean and standard deviation that they add up to.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from seatrial.recipes.normalisation import find_impossible
from seatrial.strict import Strict

Triple = tuple[float, float, float]
Size = tuple[PositiveInt, PositiveInt]
"""Height, width."""


class BaseStep(Strict):
    """What every step has."""

    step: str

    @abstractmethod
    def describe(self) -> str:
        """The step in words."""


class PixelStep(BaseStep):
    """A step from uint8 RGB pixels to uint8 RGB pixels, run on the host."""

    @abstractmethod
    def find_size(self, before: Size | None) -> Size | None:
        """The size of its output, of input of size `before`; None: it depends on the image."""

    @abstractmethod
    def with_size(self, size: Size) -> "PixelStep":
        """The step like this one whose output has this size."""


class TensorStep(BaseStep):
    """A step on floats, run on the host or in the graph: it subtracts and divides, channel by channel."""

    @abstractmethod
    def normalise(self, mean: Triple, std: Triple) -> tuple[Triple, Triple]:
        """Mean and standard deviation, on the 0..1 scale, of all steps up to this one, given those before it."""


class Resize(PixelStep):
    """Resize with Pillow's antialiased filter: one size keeps the aspect ratio, two are taken as they are."""

    step: Literal["resize"]
    short_side: PositiveInt | None = None
    """The short side becomes this; the long side is truncated to a whole number (torchvision's rule)."""
    size: Size | None = None
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    @model_validator(mode="after")
    def _one_of_two(self) -> "Resize":
        if (self.short_side is None) == (self.size is None):
            raise ValueError("a resize step takes either short_side or size")
        return self

    def describe(self) -> str:
        if self.size:
            return f"resize to {_join(self.size)} ({self.interpolation})"
        return f"resize the short side to {self.short_side} ({self.interpolation})"

    def find_size(self, before: Size | None) -> Size | None:
        return self.size

    def with_size(self, size: Size) -> "Resize":
        return Resize(step="resize", size=size, interpolation=self.interpolation)


class CenterCrop(PixelStep):
    """Cut the middle out; an image that is too small is padded with black."""

    step: Literal["center_crop"]
    size: Size
    offset: Literal["half_even", "truncate"] = "half_even"
    """How half a pixel is rounded: Python's round (torchvision) or int (the guides' numpy scripts)."""

    def describe(self) -> str:
        return f"crop the middle {_join(self.size)}"

    def find_size(self, before: Size | None) -> Size | None:
        return self.size

    def with_size(self, size: Size) -> "CenterCrop":
        return self.model_copy(update={"size": size})


class ToFloat(TensorStep):
    """Divide by 255, so that pixels lie in 0..1."""

    step: Literal["to_float"]

    def describe(self) -> str:
        return "divide by 255"

    def normalise(self, mean: Triple, std: Triple) -> tuple[Triple, Triple]:
        return mean, std


class Normalise(TensorStep):
    """Subtract the mean and divide by the standard deviation, per channel in RGB order, on the 0..1 scale."""

    step: Literal["normalise"]
    mean: Triple
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]

    @model_validator(mode="after")
    def _possible(self) -> "Normalise":
        if (impossible := find_impossible(self.mean, self.std)) is not None:
            raise ValueError(f"{impossible.problem}: {impossible.mend}")
        return self

    def describe(self) -> str:
        mean, std = (" / ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"subtract the mean {mean} and divide by {std}"

    def normalise(self, mean: Triple, std: Triple) -> tuple[Triple, Triple]:
        red, green, blue = (m + s * own for m, s, own in zip(mean, std, self.mean, strict=True))
        of_red, of_green, of_blue = (s * own for s, own in zip(std, self.std, strict=True))
        return (red, green, blue), (of_red, of_green, of_blue)


AnyPixelStep = Resize | CenterCrop
AnyTensorStep = ToFloat | Normalise
Step = Annotated[AnyPixelStep | AnyTensorStep, Field(discriminator="step")]


def pixel_steps(steps: Sequence[Step]) -> tuple[AnyPixelStep, ...]:
    """Those of `steps` that work on pixels."""
    return tuple(step for step in steps if isinstance(step, PixelStep))


def dump_steps(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Steps as hashes and records have them."""
    return [step.model_dump(mode="json", exclude_none=True) for step in steps]


def find_size(steps: Sequence[Step]) -> Size:
    """Height and width of what comes out of `steps`.

    Raises:
        ValueError: they depend on the image.
    """
    size: Size | None = None
    for step in pixel_steps(steps):
        size = step.find_size(size)
    if size is None:
        raise ValueError("preprocess has no center_crop or resize to a size last, so the input size is not known")
    return size


def find_normalisation(steps: Sequence[Step]) -> tuple[Triple, Triple]:
    """Mean and standard deviation on the 0..1 scale; 0 and 1 where there is no normalise step."""
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    for step in steps:
        if isinstance(step, TensorStep):
            mean, std = step.normalise(mean, std)
    return mean, std


def _join(size: Size) -> str:
    return f"{size[0]} × {size[1]}"
