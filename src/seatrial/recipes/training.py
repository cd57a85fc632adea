"""The settings of a card for training, and named presets of them."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from seatrial.strict import StrictNumbers

Fraction = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]

EXECUTION = frozenset({"workers", "print_freq", "checkpoint_every", "device", "dist_backend", "on_bad_image"})
"""Settings that never change the trained weights."""

FIRST_SETTINGS = frozenset((
    "epochs", "batch_size", "accumulate", "max_train_steps", "max_eval_steps", "optimizer", "learning_rate",
    "classifier_rate", "momentum", "nesterov", "weight_decay", "lr_schedule", "lr_step_epochs", "lr_step_factor",
    "warmup_epochs", "label_smoothing", "ema", "amp", "loss_scale", "sync_bn", "channels_last", "compile", "size",
    "min_scale", "flip", "augment", "random_erasing", "mixup", "cutmix", "repeats", "seed",
))  # fmt: skip
"""The settings there were when all of them identified a training; never changed."""


class Train(StrictNumbers):
    """How to train; each of these is an option of `seatrial train` too.

    A training, and with it every stored snapshot, is identified by the settings that are not at their defaults. So a
    new setting disowns none, if its default does what was done before; and a default is never changed: another default
    needs a setting with a new name.
    """

    epochs: PositiveInt = 90
    """Passes over the training images."""
    batch_size: PositiveInt = 256
    """Images of a step, over all processes."""
    accumulate: PositiveInt = 1
    """Micro-batches of a step, for which gradients are accumulated."""
    max_train_steps: PositiveInt | None = None
    """Most steps of an epoch."""
    max_eval_steps: PositiveInt | None = None
    """Most batches of a validation; the result then says how many images it counted."""

    optimizer: Literal["sgd", "lars", "adamw"] = "sgd"
    """Optimiser; lars is for batches of many thousands, https://arxiv.org/abs/1708.03888."""
    learning_rate: PositiveFloat = 0.1
    """Highest learning rate of the schedule."""
    classifier_rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor of the learning rate for the last layer. With few classes and wide features it diverges at a rate that
    suits the layers before BatchNorm."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of sgd and lars; for adamw the first beta."""
    nesterov: bool = True
    """Nesterov momentum, for sgd and lars."""
    weight_decay: NotNegative = 1e-4
    """Weight decay; BatchNorm and biases have none."""
    lr_schedule: Literal["cosine", "step", "linear"] = "cosine"
    """Schedule of the learning rate after the warm-up: cosine or linear to 0, or step, by a factor at some epochs."""
    lr_step_epochs: tuple[PositiveInt, ...] = (30, 60, 80)
    """Epochs at which the schedule step lowers the learning rate."""
    lr_step_factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Factor by which the schedule step lowers the learning rate."""
    warmup_epochs: NotNegative = 5
    """Epochs of linear warm-up; at most half of all epochs."""
    label_smoothing: Fraction = 0.1
    """Label smoothing: share of the label that is spread over all classes."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of an exponential moving average of the weights, which is then validated and stored; 0 is off."""

    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """Mixed precision; weights and optimiser stay fp32. auto is bf16 where that is faster, else off."""
    loss_scale: Literal["dynamic"] | PositiveFloat = "dynamic"
    """Loss scale of fp16."""
    sync_bn: bool = False
    """Synchronised BatchNorm, over the images of all processes; GPUs and NPUs only."""
    channels_last: bool = True
    """Channels-last memory layout."""
    compile: bool = False
    """Compile the network with torch.compile."""

    size: PositiveInt | None = None
    """Image size in training, by default the card's input size. Validation always uses the card's."""
    min_scale: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest random crop, as a share of the image's area."""
    flip: bool = True
    """Mirror half of the images at random; not for digits and letters."""
    augment: Literal["none", "trivial"] = "none"
    """Augmentation; trivial is TrivialAugmentWide, https://arxiv.org/abs/2103.10158."""
    random_erasing: Fraction = 0.0
    """Probability of random erasing, https://arxiv.org/abs/1708.04896."""
    mixup: NotNegative = 0.0
    """Alpha of MixUp, https://arxiv.org/abs/1710.09412; 0 is off."""
    cutmix: NotNegative = 0.0
    """Alpha of CutMix, https://arxiv.org/abs/1905.04899; 0 is off. With mixup each batch gets one of the two."""
    repeats: PositiveInt = 1
    """Repeated augmentation: crops of each image in an epoch, which then has that many times fewer images."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Random seed for weights, order and augmentation."""
    workers: PositiveInt | None = None
    """Decode workers of each process; by default its share of the cores."""
    on_bad_image: Literal["error", "skip"] = "error"
    """What to do when an image cannot be read: stop, or skip it and list it in the record."""
    print_freq: PositiveInt = 10
    """Steps between two lines on the terminal."""
    checkpoint_every: PositiveInt | None = None
    """Steps between snapshots, in addition to the one after each epoch."""
    device: str = "cpu"
    """Device: cpu, cuda, cuda:1, npu:0 …; without a number for several processes, which take one each."""
    dist_backend: Literal["auto", "gloo", "nccl", "hccl"] = "auto"
    """Backend of torch.distributed; auto is the device's own."""

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that change the trained weights, if not at their defaults."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude=set(EXECUTION))

    @property
    def first_identity(self) -> dict[str, Any] | None:
        """What `identity` was before defaults were left out; None with a setting that there was not then."""
        if not self.identity.keys() <= FIRST_SETTINGS:
            return None
        return self.model_dump(mode="json", include=set(FIRST_SETTINGS))


def find_idle(train: Train, given: Iterable[str]) -> list[str]:
    """Of the settings that were given, those that have no effect with the others."""
    idle = {
        "loss_scale": train.amp != "fp16",
        "nesterov": train.optimizer == "adamw",
        "lr_step_epochs": train.lr_schedule != "step",
        "lr_step_factor": train.lr_schedule != "step",
    }
    return [name for name in given if idle.get(name)]


class Presets(StrictNumbers):
    """A card's `[train]`, and presets of settings that override it."""

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
