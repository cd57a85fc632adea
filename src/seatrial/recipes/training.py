"""What a card may say about training: settings, and named presets of them."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from seatrial.strict import Strict

Fraction = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]

EXECUTION = frozenset({"workers", "print_freq", "checkpoint_every", "device", "dist_backend", "on_bad_image"})
"""Settings that say how the work is done and never what comes out of it."""


FIRST_SETTINGS = frozenset((
    "epochs", "batch_size", "accumulate", "max_train_steps", "max_eval_steps", "optimizer", "learning_rate",
    "classifier_rate", "momentum", "nesterov", "weight_decay", "lr_schedule", "lr_step_epochs", "lr_step_factor",
    "warmup_epochs", "label_smoothing", "ema", "amp", "loss_scale", "sync_bn", "channels_last", "compile", "size",
    "min_scale", "flip", "augment", "random_erasing", "mixup", "cutmix", "repeats", "seed",
))  # fmt: skip
"""What there was when all settings identified a training; never changed."""


class Train(Strict):
    """How to train it; every one of these is an option of `seatrial train` too.

    A training, and with it every stored snapshot, is identified by the settings that are not at their defaults. So a
    new setting disowns none, if its default does what was done before; and a default is never changed: what should be
    done otherwise from then on gets a setting with a new name.
    """

    epochs: PositiveInt = 90
    """Passes over the training images."""
    batch_size: PositiveInt = 256
    """Images a step, over all processes."""
    accumulate: PositiveInt = 1
    """In how many parts a step's images go through the network, one after the other."""
    max_train_steps: PositiveInt | None = None
    """Steps of an epoch at most."""
    max_eval_steps: PositiveInt | None = None
    """Batches of a validation at most; what it then counts is said to be a part."""

    optimizer: Literal["sgd", "lars", "adamw"] = "sgd"
    """lars is for batches of many thousands, https://arxiv.org/abs/1708.03888."""
    learning_rate: PositiveFloat = 0.1
    """Highest of the schedule."""
    classifier_rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the learning rate that the last layer gets. With few classes and wide features its steps are far longer
    than those of the layers before BatchNorm, and a rate that suits these makes it diverge."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of sgd and lars; of adamw the first beta."""
    nesterov: bool = True
    """Nesterov's momentum, of sgd."""
    weight_decay: NotNegative = 1e-4
    """Of matrices alone: BatchNorm and biases have none."""
    lr_schedule: Literal["cosine", "step", "linear"] = "cosine"
    """How the rate falls after the warm-up: along half a cosine or a line to nothing, or by a factor at some epochs."""
    lr_step_epochs: tuple[PositiveInt, ...] = (30, 60, 80)
    """Where the schedule step lowers the rate."""
    lr_step_factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What it multiplies the rate by."""
    warmup_epochs: NotNegative = 5
    """In which the rate rises along a line; never more than half of the epochs."""
    label_smoothing: Fraction = 0.1
    """Share of the label given to all classes."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay a step of a moving average of the weights, which is then what is validated and kept; 0 keeps none."""

    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """Precision of the arithmetic; weights and optimiser stay fp32. auto: bf16 where that is faster."""
    loss_scale: Literal["dynamic"] | PositiveFloat = "dynamic"
    """Of fp16."""
    sync_bn: bool = False
    """BatchNorm over the images of all processes, not of each."""
    channels_last: bool = True
    """Memory layout of the images."""
    compile: bool = False
    """Through torch.compile."""

    size: PositiveInt | None = None
    """Height and width that training sees; the card's input size unless given. Validation keeps the card's."""
    min_scale: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest share of the image's area that a random crop takes."""
    flip: bool = True
    """Mirror half of the images; digits and letters must not be mirrored."""
    augment: Literal["none", "trivial"] = "none"
    """trivial: TrivialAugmentWide, https://arxiv.org/abs/2103.10158."""
    random_erasing: Fraction = 0.0
    """Probability, https://arxiv.org/abs/1708.04896."""
    mixup: NotNegative = 0.0
    """Alpha of https://arxiv.org/abs/1710.09412; 0 is off."""
    cutmix: NotNegative = 0.0
    """Alpha of https://arxiv.org/abs/1905.04899; 0 is off. With mixup, each batch has one of the two, at random."""
    repeats: PositiveInt = 1
    """How often an epoch shows an image, each time another crop; it then shows so many times fewer images."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of weights, order and crops."""
    workers: PositiveInt | None = None
    """That decode images, of each process; as many as there are cores for it unless given."""
    on_bad_image: Literal["error", "skip"] = "error"
    """What becomes of a file that is no image; skipped ones are counted and named."""
    print_freq: PositiveInt = 10
    """Steps between two lines of the log."""
    checkpoint_every: PositiveInt | None = None
    """Steps between two snapshots beside the one after each epoch."""
    device: str = "cpu"
    """Such as cpu, cuda, cuda:1 or npu:0; of several processes each takes one, so then without a number."""
    dist_backend: Literal["auto", "gloo", "nccl", "hccl"] = "auto"
    """Between processes; auto is the device's own."""

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that decide what comes out, where they are not at their defaults."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude=set(EXECUTION))

    @property
    def first_identity(self) -> dict[str, Any] | None:
        """What `identity` was before defaults were left out; None where a setting decides that there was not then."""
        if not self.identity.keys() <= FIRST_SETTINGS:
            return None
        return self.model_dump(mode="json", include=set(FIRST_SETTINGS))


def find_idle(train: Train, given: Iterable[str]) -> list[str]:
    """Of the settings that were given, those that change nothing beside the others."""
    idle = {
        "loss_scale": train.amp != "fp16",
        "nesterov": train.optimizer == "adamw",
        "lr_step_epochs": train.lr_schedule != "step",
        "lr_step_factor": train.lr_schedule != "step",
    }
    return [name for name in given if idle.get(name)]


class Presets(Strict):
    """A card's `[train]` with its presets, each a few settings that replace those of `[train]`."""

    train: Train = Train()
    presets: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _valid(self) -> "Presets":
        for name, settings in self.presets.items():
            unknown = settings.keys() - Train.model_fields.keys()
            if unknown:
                raise ValueError(f"presets.{name}: unknown key '{min(unknown)}'")
            Train.model_validate({**self.train.model_dump(), **settings})
        return self
