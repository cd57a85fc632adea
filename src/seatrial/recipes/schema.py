"""What a card may say."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from seatrial.strict import Strict

Fraction = Annotated[float, Field(ge=0, le=1)]
Triple = tuple[float, float, float]
Size = tuple[PositiveInt, PositiveInt]
"""Height, width."""


class Network(Strict):
    """What to build."""

    builder: Literal["timm", "seatrial"] = "timm"
    """Who defines the network: timm, or our own `models`."""
    name: str
    """The builder's name for it, such as `resnet50`."""
    classes: PositiveInt
    parameters: PositiveInt | None = None
    """Learned numbers, as a check on what was built."""


class Weights(Strict):
    """The published checkpoint."""

    file: str
    url: str | None = None
    sha256: str | None = None
    sha256_prefix: str | None = None
    """The leading hex digits of the sha256, where the publisher puts only those into the file name."""
    md5: str | None = None
    licence: str | None = None
    note: str | None = None


class Graph(Strict):
    """How the ONNX file names its ends."""

    input: str = "image"
    output: str = "class"
    opset: Annotated[int, Field(ge=7)] = 17


class Resize(Strict):
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


class CenterCrop(Strict):
    """Cut the middle out; an image that is too small is padded with black."""

    step: Literal["center_crop"]
    size: Size
    offset: Literal["half_even", "truncate"] = "half_even"
    """How half a pixel is rounded: Python's round (torchvision) or int (the guides' numpy scripts)."""


class ToFloat(Strict):
    """Divide by 255, so that pixels lie in 0..1."""

    step: Literal["to_float"]


class Normalise(Strict):
    """Subtract the mean and divide by the standard deviation, per channel in RGB order, on the 0..1 scale."""

    step: Literal["normalise"]
    mean: Triple
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]


Step = Annotated[Resize | CenterCrop | ToFloat | Normalise, Field(discriminator="step")]


class Reference(Strict):
    """Accuracy that somebody else published for these very weights."""

    top1: Fraction
    top5: Fraction | None = None
    source: str
    note: str | None = None


class Gates(Strict):
    """What an engine must keep to pass; see `compare.gates` for how each is judged."""

    reference_drop_pp: PositiveFloat | None = 1.0
    """The drop against the reference engine on the same images, in points, must be certainly below this."""
    published_relative_drop: Fraction | None = None
    """Top-1 may lie below the card's reference accuracy by this share of it."""
    at_least_published: bool = False
    same_at_batches: tuple[PositiveInt, ...] = ()
    speed: tuple[str, ...] = ()


class Train(Strict):
    """How to train it; every one of these is an option of `seatrial train` too."""

    epochs: PositiveInt = 90
    batch_size: PositiveInt = 256
    learning_rate: PositiveFloat = 0.1
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    warmup_epochs: Annotated[float, Field(ge=0)] = 5
    label_smoothing: Fraction = 0.1
    min_scale: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest share of the image's area that a random crop takes."""
    flip: bool = True
    """Mirror half of the images; digits and letters must not be mirrored."""


class Published(Strict):
    """Throughput that somebody published, as printed."""

    device: str
    chips_per_card: PositiveInt = 1
    per: Literal["chip", "card"] = "card"
    precision: str | None = None
    scope: Literal["device", "host", "e2e", "unknown"] = "unknown"
    images_per_s: dict[str, PositiveFloat]
    """By batch size."""
    source: str
    note: str | None = None


class Recipe(Strict):
    """One model, as a page: what it is, how it sees images, how good it must be."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    title: str
    paper: str | None = None
    source: str | None = None
    network: Network
    weights: Weights | None = None
    graph: Graph = Graph()
    preprocess: Annotated[tuple[Step, ...], Field(min_length=1)]
    reference: Reference | None = None
    gates: Gates = Gates()
    train: Train = Train()
    published: tuple[Published, ...] = ()

    @model_validator(mode="after")
    def _pixels_then_floats(self) -> "Recipe":
        steps = [s.step for s in self.preprocess]
        tail = [s for s in steps if s in ("to_float", "normalise")]
        if tail not in (["to_float"], ["to_float", "normalise"]) or steps[-len(tail) :] != tail:
            raise ValueError("preprocess ends with to_float, then normalise where there is one")
        if self.input_size is None:
            raise ValueError("preprocess has no center_crop or resize to a size, so the input size is not known")
        return self

    @property
    def input_size(self) -> Size | None:
        """Height and width that the network sees."""
        last = self.preprocess[-1]
        for last in reversed(self.preprocess):
            if isinstance(last, CenterCrop | Resize):
                break
        return last.size if isinstance(last, CenterCrop | Resize) else None

    @property
    def normalisation(self) -> tuple[Triple, Triple]:
        """Mean and standard deviation on the 0..1 scale; 0 and 1 where the card has no normalise step."""
        for step in self.preprocess:
            if isinstance(step, Normalise):
                return step.mean, step.std
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
