"""The steps that a card's preprocessing is made of: their options, the size they give, and what they do in words.

A new step is a class here and a member of `AnyPixelStep` or `AnyTensorStep`; `data.preprocessing.steps` runs pixel
steps. Tensor steps are run, and written into graphs, as the one mean and standard deviation that they add up to.
"""

import itertools
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, model_validator

from seatrial.recipes.normalisation import find_impossible
from seatrial.strict import StrictNumbers

PerChannel = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]
"""A number for each channel that the network takes: red, green, blue, or one for grey."""
Side = Annotated[int, Field(gt=0, lt=2**16)]
"""Of an image, in pixels; no JPEG has a longer one."""
Size = tuple[Side, Side]
"""Height, width."""
Level = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Level, Level, Level]
"""Red, green, blue."""
TARGETS = ("short_side", "long_side", "cover", "fit", "size")
"""How a resize may say its size: one of these."""


class BaseStep(StrictNumbers):
    """What every step has."""

    step: str

    @abstractmethod
    def describe(self) -> str:
        """The step in words."""


class PixelStep(BaseStep):
    """A step from uint8 pixels to uint8 pixels, run on the host; the first gets RGB."""

    @abstractmethod
    def find_size(self, before: Size | None) -> Size | None:
        """The size of its output, of input of size `before`; None: it depends on the image."""

    @abstractmethod
    def with_size(self, size: Size) -> "PixelStep":
        """The step like this one whose output has this size."""


class TensorStep(BaseStep):
    """A step on floats, run on the host or in the graph: it subtracts and divides, channel by channel."""

    @abstractmethod
    def normalise(self, mean: PerChannel, std: PerChannel) -> tuple[PerChannel, PerChannel]:
        """Mean and standard deviation, on the 0..1 scale, of all steps up to this one, given those before it."""


class Resize(PixelStep):
    """Resize: to one side, whose other side keeps the aspect ratio, or to a size as it is."""

    step: Literal["resize"]
    short_side: Side | None = None
    """The short side becomes this; the long side is truncated to a whole number (torchvision's rule)."""
    max_size: Side | None = None
    """With `short_side`: where the long side would exceed this it becomes this, and the short side is truncated."""
    long_side: Side | None = None
    """The long side becomes this; the short side is truncated to a whole number."""
    cover: Size | None = None
    """The smallest size of the image's aspect ratio that covers this one, rounded (timm's ResizeKeepRatio)."""
    fit: Size | None = None
    """The largest size of the image's aspect ratio that fits into this one, rounded (timm's ResizeKeepRatio)."""
    size: Size | None = None
    interpolation: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = "bilinear"
    backend: Literal["pillow", "tensor"] = "pillow"
    """Pillow's arithmetic, or that of torchvision on tensors, which differs by a level where it is antialiased."""
    antialias: bool = True
    """Whether the filter widens where an image shrinks; Pillow's always does."""

    @model_validator(mode="after")
    def _one_target(self) -> "Resize":
        given = [name for name in TARGETS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a resize step takes one of {', '.join(TARGETS)}, not {' and '.join(given) or 'none'}")
        if self.max_size is not None and self.max_size <= (self.short_side or self.max_size):
            raise ValueError("max_size belongs to a short_side that is smaller")
        if self.backend == "pillow" and not self.antialias:
            raise ValueError("antialias = false needs backend = 'tensor': Pillow's filters are always antialiased")
        if self.backend == "tensor" and self.interpolation not in ("nearest", "bilinear", "bicubic"):
            raise ValueError(
                f"backend = 'tensor' has no interpolation {self.interpolation}: torchvision has none either"
            )
        return self

    def describe(self) -> str:
        kind: str = self.interpolation
        if self.backend == "tensor":
            kind += f", on tensors{'' if self.antialias else ' without antialiasing'}"
        if self.size:
            return f"resize to {join_size(self.size)} ({kind})"
        if self.cover or self.fit:
            what, size = ("cover", self.cover) if self.cover else ("fit into", self.fit)
            return f"resize to {what} {join_size(size or (0, 0))} ({kind})"
        side, pixels = ("long", self.long_side) if self.long_side else ("short", self.short_side)
        limit = f", the long side to {self.max_size} at most" if self.max_size else ""
        return f"resize the {side} side to {pixels}{limit} ({kind})"

    def find_size(self, before: Size | None) -> Size | None:
        return self.size

    def with_size(self, size: Size) -> "Resize":
        same = {"interpolation": self.interpolation, "backend": self.backend, "antialias": self.antialias}
        return Resize.model_validate({"step": "resize", "size": size, **same})

    @property
    def least_size(self) -> Size | None:
        """Height and width that no image falls below on both sides; None where that depends on its aspect ratio."""
        if self.short_side and not self.max_size:
            return self.short_side, self.short_side
        return self.size or self.cover


class CenterCrop(PixelStep):
    """Cut the middle out; an image that is too small is padded evenly."""

    step: Literal["center_crop"]
    size: Size | None = None
    fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Of the image's own height and width, in front of the resize; what is left over is split as `offset` says."""
    offset: Literal["half_even", "truncate", "floor"] = "half_even"
    """How half a pixel is rounded: Python's round (torchvision), int (the guides' numpy scripts), or down, so that an
    odd border is wider above and on the left (transformers' numpy)."""
    pad: Colour | None = None
    """Colour (red, green, blue) around an image that is too small; None: black, where the card expects none."""

    @model_validator(mode="after")
    def _one_of_two(self) -> "CenterCrop":
        if (self.size is None) == (self.fraction is None):
            raise ValueError("a center_crop step takes either size or fraction")
        return self

    def describe(self) -> str:
        if self.size is None:
            return f"crop the middle {self.fraction:g} of each side"
        around = "" if self.pad is None else f", padded with {' / '.join(map(str, self.pad))}"
        return f"crop the middle {join_size(self.size)}{around}"

    def find_size(self, before: Size | None) -> Size | None:
        return self.size

    def with_size(self, size: Size) -> "CenterCrop":
        return self.model_copy(update={"size": size, "fraction": None})


class Pad(PixelStep):
    """Put a border of one colour around an image, up to a size that the steps before it never exceed."""

    step: Literal["pad"]
    size: Size
    colour: Colour = (0, 0, 0)
    """Red, green, blue."""
    position: Literal["center", "top_left"] = "center"
    """Where the image is put."""

    def describe(self) -> str:
        return f"pad to {join_size(self.size)} with {' / '.join(map(str, self.colour))}, image {self.position}"

    def find_size(self, before: Size | None) -> Size | None:
        return self.size

    def with_size(self, size: Size) -> "Pad":
        return self.model_copy(update={"size": size})


class Channels(PixelStep):
    """Reorder the channels of an RGB image, or make one of grey; what follows, the mean too, has the new ones."""

    step: Literal["channels"]
    order: Literal["BGR", "L"]
    backend: Literal["pillow", "tensor"] = "pillow"
    """Of L: Pillow's weights of red, green and blue, or those of torchvision on tensors, which cuts fractions off."""

    @model_validator(mode="after")
    def _of_grey(self) -> "Channels":
        if self.backend == "tensor" and self.order != "L":
            raise ValueError("backend belongs to order = 'L': channels that change places are the same in each")
        return self

    def describe(self) -> str:
        if self.order == "L":
            return f"convert to grey, one channel ({'on tensors' if self.backend == 'tensor' else 'L'})"
        return "swap red and blue (BGR)"

    def find_size(self, before: Size | None) -> Size | None:
        return before

    def with_size(self, size: Size) -> "Channels":
        raise ValueError("channels gives no size; put a resize or center_crop after it")


class ToFloat(TensorStep):
    """Divide by 255, so that pixels lie in 0..1."""

    step: Literal["to_float"]

    def describe(self) -> str:
        return "divide by 255"

    def normalise(self, mean: PerChannel, std: PerChannel) -> tuple[PerChannel, PerChannel]:
        return mean, std


class Normalise(TensorStep):
    """Subtract the mean and divide by the standard deviation, per channel in RGB order, on the 0..1 scale."""

    step: Literal["normalise"]
    mean: PerChannel
    std: Annotated[tuple[PositiveFloat, ...], Field(min_length=1, max_length=3)]

    @model_validator(mode="after")
    def _possible(self) -> "Normalise":
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} numbers and std {len(self.std)}: give one for each channel")
        if (impossible := find_impossible(self.mean, self.std)) is not None:
            raise ValueError(f"{impossible.problem}: {impossible.mend}")
        return self

    def describe(self) -> str:
        mean, std = (" / ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"subtract the mean {mean} and divide by {std}"

    def normalise(self, mean: PerChannel, std: PerChannel) -> tuple[PerChannel, PerChannel]:
        means = tuple(m + s * own for m, s, own in zip(mean, std, self.mean, strict=True))
        return means, tuple(s * own for s, own in zip(std, self.std, strict=True))


AnyPixelStep = Resize | CenterCrop | Pad | Channels
AnyTensorStep = ToFloat | Normalise
Step = Annotated[AnyPixelStep | AnyTensorStep, Field(discriminator="step")]


def pixel_steps(steps: Sequence[Step]) -> tuple[AnyPixelStep, ...]:
    """Those of `steps` that work on pixels."""
    return tuple(step for step in steps if isinstance(step, PixelStep))


LATER = {"backend": "pillow", "antialias": True}
"""Options that came after hashes of steps had been stored: at these values they are no part of a step."""


def dump_steps(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Steps as hashes and records have them."""
    dumped = [step.model_dump(mode="json", exclude_none=True) for step in steps]
    return [{key: value for key, value in step.items() if LATER.get(key) != value} for step in dumped]


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


def count_channels(steps: Sequence[Step]) -> int:
    """How many channels come out of `steps`, which are given RGB.

    Raises:
        ValueError: they make grey of channels that have changed places, or normalise another number of channels.
    """
    orders = {step.order for step in steps if isinstance(step, Channels)}
    if len(orders) > 1:
        raise ValueError("grey is made of red, green and blue as they are: leave out the channels step with BGR")
    channels = 1 if "L" in orders else 3
    wrong = next((len(s.mean) for s in steps if isinstance(s, Normalise) and len(s.mean) != channels), None)
    if wrong is not None:
        values = "one value" if channels == 1 else "3 values (red, green, blue)"
        grey = ", or a channels step with order = 'L' where the network takes grey images" if wrong == 1 else ""
        raise ValueError(
            f"normalise has {wrong} values each, and the steps give {channels} channels: give {values}{grey}"
        )
    return channels


def find_normalisation(steps: Sequence[Step]) -> tuple[PerChannel, PerChannel]:
    """Mean and standard deviation on the 0..1 scale; 0 and 1 where there is no normalise step."""
    channels = count_channels(steps)
    mean, std = (0.0,) * channels, (1.0,) * channels
    for step in steps:
        if isinstance(step, TensorStep):
            mean, std = step.normalise(mean, std)
    return mean, std


def join_size(size: Size) -> str:
    """A height and width in words."""
    return f"{size[0]} × {size[1]}"


def check_crop(steps: Sequence[Step]) -> None:
    """Refuse a crop that the resize in front of it never fills: what is missing would be black in every image.

    Raises:
        ValueError: names both.
    """
    for step, crop in itertools.pairwise(steps):
        if not isinstance(step, Resize) or not isinstance(crop, CenterCrop) or crop.size is None or crop.pad:
            continue
        least = step.least_size
        if least is None:
            continue
        larger = [cut > left for cut, left in zip(crop.size, least, strict=True)]
        # Of a short side alone it is not known which one it is.
        if any(larger) if step.size else all(larger):
            what = step.describe().removeprefix("resize ")
            raise ValueError(
                f"center_crop to {join_size(crop.size)} is larger than what the resize {what} before it leaves; "
                "where the border is meant, give the crop pad = [red, green, blue]"
            )
