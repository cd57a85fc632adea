"""What a card may say: the page of one model, and what a porting guide said about it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from seatrial.errors import UsageError
from seatrial.metrics.classification import METRICS
from seatrial.recipes.steps import (
    PerChannel,
    Size,
    Step,
    TensorStep,
    check_crop,
    count_channels,
    find_normalisation,
    find_size,
    pixel_steps,
)
from seatrial.recipes.training import Fraction, Presets
from seatrial.strict import StrictNumbers, suggest

MOST_CLASSES = 10_000_000
"""Far more than any data set has: a number beyond is a slip, and would fill the memory."""
Batch = Annotated[str, Field(pattern=r"^[1-9][0-9]*$")]
"""A batch size as a key of a TOML table."""
BatchOrBest = Annotated[str, Field(pattern=r"^([1-9][0-9]*|best)$")]
Printed = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?$")]
"""A number as somebody printed it: its number of digits decides how it is rounded when it is checked."""
Equation = Annotated[str, Field(pattern=r"^[-+*/(). 0-9]+ = [0-9]+(\.[0-9]+)?$")]
"""A sum as somebody printed it, such as `678.142 * 4 = 2712.568`."""


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Scalar = str | bool | int | float
Argument = Scalar | tuple[Scalar, ...]
"""What a card may hand to the function that builds a network."""


class Network(StrictNumbers):
    """The network to build."""

    builder: Literal["timm", "torchvision", "transformers", "python", "seatrial", "onnx"] = "timm"
    """Who defines the network: a library, a Python file of the user's, our own `models`; an ONNX file is one itself."""
    name: str
    """The builder's name for it, such as `resnet50`; of a Python file `FILE.py:CALLABLE`, of an ONNX file its path."""
    classes: Annotated[int, Field(gt=0, le=MOST_CLASSES)]
    parameters: PositiveInt | None = None
    """Learned numbers, as a check on what was built."""
    arguments: dict[str, Argument] = Field(default_factory=dict)
    """What its builder takes besides, by name."""
    sha256: Sha256 | None = None
    """Of the Python or ONNX file: another file of that name is refused."""


IMAGENET = "imagenet-1k"
"""Names the classes of ILSVRC2012 in a card."""


class Labels(StrictNumbers):
    """What the classes are called, and how label files number them."""

    names: tuple[str, ...] | str | None = None
    """In the order of the classes: a list, a text file with a name a line, or `imagenet-1k`."""
    offset: Annotated[int, Field(ge=-MOST_CLASSES, le=MOST_CLASSES)] = 0
    """What is added to a label in front of the network's class."""


class Weights(StrictNumbers):
    """The published checkpoint."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][^/\\]*$")]
    url: str | None = None
    hub: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)+$")] | None = None
    """`ORG/NAME/FILE` on the Hugging Face hub, to find it among what its client has stored."""
    revision: str | None = None
    """Of the hub's repository."""
    path: str | None = None
    """Where the file is on this machine."""
    sha256: Sha256 | None = None
    sha256_prefix: Annotated[str, Field(pattern=r"^[0-9a-f]{6,64}$")] | None = None
    """The leading hex digits of the sha256, where the publisher puts only those into the file name."""
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    layout: str | None = None
    """How the file is wrapped and its keys are named."""
    licence: str | None = None
    note: str | None = None


class Graph(StrictNumbers):
    """How the ONNX file names its ends."""

    input: str = "image"
    output: str = "class"
    opset: Annotated[int, Field(ge=7)] = 17


class Preprocessing(StrictNumbers):
    """A way from an image to numbers: its steps decide what comes out, uint8 HWC without to_float, else float32 CHW."""

    preprocess: Annotated[tuple[Step, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _pixels_then_floats(self) -> Self:
        pixels = pixel_steps(self.preprocess)
        tail = [step.step for step in self.preprocess[len(pixels) :]]
        once = len(set(tail)) == len(tail)
        if self.preprocess[: len(pixels)] != pixels or not once or tail[:1] not in ([], ["to_float"]):
            raise ValueError("preprocess goes from pixel steps to to_float and then to normalise, each at most once")
        find_size(self.preprocess)
        count_channels(self.preprocess)
        return self

    @property
    def input_size(self) -> Size:
        """Height and width of what comes out."""
        return find_size(self.preprocess)

    @property
    def channels(self) -> int:
        """How many channels its images have: 3, or 1 of grey."""
        return count_channels(self.preprocess)

    @property
    def normalisation(self) -> tuple[PerChannel, PerChannel]:
        """Mean and standard deviation on the 0..1 scale; 0 and 1 where there is no normalise step."""
        return find_normalisation(self.preprocess)

    @property
    def dtype(self) -> Literal["uint8", "float32"]:
        """What each number is."""
        return "float32" if any(isinstance(step, TensorStep) for step in self.preprocess) else "uint8"

    @property
    def layout(self) -> Literal["HWC", "CHW"]:
        """The order of one image's axes."""
        return "CHW" if self.dtype == "float32" else "HWC"


class Mode(Preprocessing):
    """Another preprocessing of a card than its main one."""

    note: str | None = None


class Reference(StrictNumbers):
    """Accuracy that somebody else published for this network."""

    top1: Fraction
    top5: Fraction | None = None
    size: PositiveInt | None = None
    """Height of the images that it was measured on; None: the card's."""
    source: str
    note: str | None = None
    """Says so where it was measured with other weights than the card's."""


Share = Annotated[float, Field(ge=0, lt=1)]
"""Of something that a gate allows: all of it would be no gate."""


class Gates(StrictNumbers):
    """What an engine must keep to pass; see `compare.gates` for how each is judged."""

    reference_drop_pp: Annotated[float, Field(gt=0, lt=100)] | None = 1.0
    """The drop against the reference engine on the same images, in points, must be certainly below this."""
    published_relative_drop: Share | None = None
    """Top-1 may lie below the card's reference accuracy by this share of it."""
    at_least_published: bool = False
    same_at_batches: tuple[PositiveInt, ...] = ()
    changed_share: Share | None = None
    """The share of first classes that differ from the reference engine's must be certainly below this."""
    agreement: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of first classes that are the reference engine's must be certainly above this; needs no labels."""
    plausible: bool = True
    """Predictions that cannot be believed (`evaluation.plausibility`) leave the verdict open; False does not look."""
    metrics: dict[str, Fraction] = Field(default_factory=dict)
    """By name in `metrics.classification.METRICS`: the least value, or the most where lower is better."""
    speed: tuple[str, ...] = ()
    """Expressions (docs/gates.md); an engine that is not in a run leaves them open."""
    require: tuple[str, ...] = ()
    """Expressions; one that names an engine that is not in a run is an error of that run."""

    @field_validator("metrics")
    @classmethod
    def _known(cls, limits: dict[str, float]) -> dict[str, float]:
        unknown = [name for name in limits if name not in METRICS]
        if unknown:
            raise ValueError(f"there is no metric '{unknown[0]}'; {suggest(unknown[0], list(METRICS))}")
        return limits


class Published(StrictNumbers):
    """Throughput that somebody published, as printed: one column of a table."""

    device: str
    name: str | None = None
    """What `[[guide.ratios]]` calls it, unique in the card; the device's name unless given."""
    chips_per_card: PositiveInt = 1
    per: Literal["chip", "card"] = "card"
    precision: str | None = None
    unit: str | None = None
    """What the publisher calls images per second: fps, qps."""
    scope: Literal["device", "host", "e2e", "unknown"] = "unknown"
    images_per_s: dict[Batch, PositiveFloat]
    """Throughput by batch size."""
    derivation: dict[Batch, Equation] = Field(default_factory=dict)
    """How the publisher came to a figure, by batch size, as printed."""
    best: Printed | None = None
    """What the publisher calls the best figure."""
    source: str
    note: str | None = None

    @property
    def label(self) -> str:
        """What ratios call it."""
        return self.name or self.device


class Tensor(StrictNumbers):
    """What the guide's compiled model takes or gives, one image of it."""

    name: str
    dtype: Literal["uint8", "float32"]
    layout: Literal["NCHW", "NHWC", "NC"]
    shape: tuple[PositiveInt, ...]
    """The shape without the batch."""


class Target(StrictNumbers):
    """The top-1 that a guide measures itself against."""

    top1: Fraction
    relative_drop: Fraction | None = None
    """It may lie below by this share of it; None: not at all."""
    source: str
    network: str | None = None
    """Whose accuracy it really is, where it is not this network's."""


class Measured(StrictNumbers):
    """An accuracy that the guide claims for its own engine."""

    device: str
    batch_size: PositiveInt | None = None
    top1: Fraction
    top5: Fraction | None = None


class Ratio(StrictNumbers):
    """How much faster one published column is than another, as the guide prints it and as it judges it."""

    of: str
    to: str
    stated: dict[BatchOrBest, Printed] = Field(default_factory=dict)
    """By batch size; `best` sets each column's own best batch against the other's."""
    at_least: PositiveFloat | None = None
    """What the guide asks for."""
    judged: Literal["best", "every"] = "best"
    """Whether it asks that of the best batches or of every one."""


class TrainingRow(StrictNumbers):
    """Training throughput as a guide prints it."""

    device: str
    cards: PositiveInt
    images_per_s: PositiveFloat
    epochs: PositiveInt | None = None
    top1: Fraction | None = None
    precision: str | None = None
    torch: str | None = None
    batch_size: PositiveInt | None = None
    """Images in a batch over all cards."""


class Erratum(StrictNumbers):
    """Something a guide says that is not so and that no arithmetic can find."""

    text: str
    correction: str


class Guide(StrictNumbers):
    """What a porting guide says about this model: claims to check, never what a run is judged by."""

    title: str
    source: str
    environment: dict[str, str] = Field(default_factory=dict)
    """Versions as the guide lists them."""
    input: Tensor | None = None
    output: Tensor | None = None
    target: Target | None = None
    accuracy: tuple[Measured, ...] = ()
    sums: dict[str, Equation] = Field(default_factory=dict)
    """Arithmetic in the guide's text, by what it works out."""
    ratios: tuple[Ratio, ...] = ()
    training: tuple[TrainingRow, ...] = ()
    errata: tuple[Erratum, ...] = ()


class Recipe(Preprocessing, Presets):
    """One model, as a page: what it is, how it sees images, how good it must be."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    title: str
    paper: str | None = None
    source: str | None = None
    """Where the network is defined, with the commit."""
    origin: str | None = None
    """The model reference that the card was resolved from, with the version of the library that described it."""
    network: Network
    labels: Labels = Labels()
    weights: Weights | None = None
    graph: Graph = Graph()
    modes: dict[str, Mode] = Field(default_factory=dict)
    """Other ways to write images to files, for `seatrial preprocess --mode`."""
    reference: Reference | None = None
    gates: Gates = Gates()
    published: tuple[Published, ...] = ()
    guide: Guide | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.dtype != "float32":
            raise ValueError("preprocess ends with to_float, then normalise where there is one")
        for steps in (self.preprocess, *(mode.preprocess for mode in self.modes.values())):
            check_crop(steps)
        names, classes = self.labels.names, self.network.classes
        if not isinstance(names, str) and names is not None and len(names) != classes:
            raise ValueError(f"labels.names has {len(names)} names, and the network has {classes} classes")
        if names == IMAGENET and classes != 1000:
            raise ValueError(f"labels.names is {IMAGENET}, and the network has {classes} classes, not 1000")
        by_published = self.gates.published_relative_drop is not None or self.gates.at_least_published
        if self.reference is None and by_published:
            raise ValueError("a gate on published accuracy needs a [reference]")
        size, own = self.reference.size if self.reference else None, self.input_size[0]
        if by_published and size not in (None, own):
            raise ValueError(f"[reference] is of images of {size}, so no gate on it can judge those of {own}")
        _check_columns(self.published, self.guide.ratios if self.guide else ())
        return self

    @property
    def identity(self) -> dict[str, Any]:
        """What keys of stored work take of a card: what a later version adds to cards changes none by its default."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def find_mode(self, name: str | None = None) -> Mode:
        """The preprocessing called `name`, the card's main one without a name.

        Raises:
            UsageError: the card has no such mode; names the nearest.
        """
        if name is None:
            return Mode(preprocess=self.preprocess)
        if name not in self.modes:
            known = suggest(name, list(self.modes)) if self.modes else "it has only its main preprocessing"
            raise UsageError(f"{self.name} has no mode '{name}'", known)
        return self.modes[name]

    def find_preset(self, name: str) -> dict[str, Any]:
        """What the preset called `name` puts in the place of settings of `[train]`.

        Raises:
            UsageError: the card has no such preset; names the nearest.
        """
        if name not in self.presets:
            known = suggest(name, list(self.presets)) if self.presets else "it has none"
            raise UsageError(f"{self.name} has no preset '{name}'", known)
        return self.presets[name]


def is_same_card(stored: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two stored cards say the same; a key that a later version added is none of it while at its default.

    Raises:
        UsageError: one of them is no card.
    """
    if stored == other:
        return True
    return Recipe.read(stored, "a stored card").identity == Recipe.read(other, "a stored card").identity


def _check_columns(published: Sequence[Published], ratios: Sequence[Ratio]) -> None:
    columns = {column.label: column for column in published}
    if len(columns) != len(published):
        raise ValueError("two [[published]] tables have the same name")
    for ratio in ratios:
        for label in (ratio.of, ratio.to):
            if label not in columns:
                raise ValueError(f"guide.ratios: no [[published]] is called '{label}'; {suggest(label, list(columns))}")
        common = columns[ratio.of].images_per_s.keys() & columns[ratio.to].images_per_s.keys()
        absent = ratio.stated.keys() - common - {"best"}
        if absent or not common:
            listed = ", ".join(sorted(absent)) or "any"
            raise ValueError(f"guide.ratios: '{ratio.of}' and '{ratio.to}' do not both have batch {listed}")
