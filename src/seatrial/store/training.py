"""The records of a training: `train.json` beside the checkpoint, and `training-speed.json` with every timed step."""

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from seatrial.store.measurement import Environment
from seatrial.store.record import Record
from seatrial.strict import Strict


class Epoch(Strict):
    """One pass over the training images, and the validation after it."""

    epoch: int
    loss: float
    train_top1: float | None
    """None if images and labels are mixed, so that none is right or wrong."""
    train_top5: float | None = None
    val_top1: float | None
    """None without held-out images."""
    val_top5: float | None = None
    val_loss: float | None = None
    val_images: int | None = None
    """Held-out images that were counted; None too where an older version did not store it."""
    learning_rate: float
    """Learning rate of the last step."""
    images_per_s: float
    """Rate of the steps, without validation and snapshots."""
    seconds: float
    """Time of the steps."""
    data_s: float | None = None
    """Part of it that was spent waiting for images."""


class Validation(Strict):
    """The result of some weights on the held-out images."""

    images: int
    """Images that were counted, each once."""
    of_images: int
    """All held-out images: more if the number was limited, or some could not be read."""
    top1: float
    top5: float
    """Top-k of all classes, if the network has fewer than five."""
    classes: int | None = None
    """Of the network; None where an older version did not store it."""
    loss: float
    """Mean cross entropy, without label smoothing."""
    seconds: float

    @property
    def is_partial(self) -> bool:
        """Whether some held-out images were not counted."""
        return self.images < self.of_images


class TrainingSpeed(Strict):
    """How fast the steps were; the first of each attempt are not counted."""

    images_per_s: float
    steps: int
    """Steps that were counted."""
    skipped_steps: int
    seconds: float
    data_s: float
    """Part of the seconds that was spent waiting for images."""


class TrainingRecord(Record):
    """How a checkpoint was trained: `train.json` beside it."""

    schema_: Literal["seatrial/training/2"] = Field(default="seatrial/training/2", alias="schema")
    key: str
    recipe: str
    preset: str | None = None
    checkpoint: str = ""
    """Empty if no weights were stored: after --performance or --evaluate."""
    checkpoint_sha256: str = ""
    settings: dict[str, Any]
    precision: str
    """Precision of the arithmetic, as executed; weights are fp32."""
    device: str = "cpu"
    world_size: int = 1
    """Processes in the last attempt."""
    epochs: tuple[Epoch, ...]
    validation: Validation | None = None
    """The result of the checkpoint."""
    speed: TrainingSpeed | None = None
    """Of the attempts on as many processes, of the same kind of device and machine, as the last one."""
    bad_images: dict[str, str] = Field(default_factory=dict)
    """Why an image was left out, by id."""
    resumed: int = 0
    """How often it was resumed."""
    performance: bool = False
    """Whether it ran for its speed only."""
    synthetic: bool = False
    """Whether its images were random pixels."""
    class_names: tuple[str, ...] = ()
    """In the order of the classes: the card's, else those of the class folders; none where neither has any."""
    environment: Environment

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Version 1 lacks fields that have defaults."""
        if data.get("schema") != "seatrial/training/1":
            return data
        return {**data, "schema": "seatrial/training/2"}


class TrainingSpeedRecord(Record):
    """The steps of a training, with what was trained and on what."""

    schema_: Literal["seatrial/training-speed/1"] = Field(default="seatrial/training-speed/1", alias="schema")
    name: str
    recipe: str
    device: str
    """Device of each process, such as `cuda`."""
    processes: PositiveInt
    machines: PositiveInt = 1
    batch_size: PositiveInt
    """Images of a step, over all processes."""
    size: tuple[PositiveInt, PositiveInt]
    """Height and width of an image in training."""
    precision: str
    synthetic: bool
    """Whether images were random: nothing was read or decoded."""
    settings: dict[str, Any]
    excluded: NonNegativeInt
    """Steps before the first timed one."""
    images: tuple[PositiveInt, ...]
    """Images of each timed step."""
    data_s: tuple[NonNegativeFloat, ...]
    """Time that each step waited for images, the longest of all processes."""
    compute_s: tuple[NonNegativeFloat, ...]
    """The rest of each step's time."""
    epochs: NonNegativeInt
    """Epochs that were finished."""
    top1: float | None
    """Accuracy of the last validation."""
    loss: float | None
    """Loss of the last step."""
    wall_s: PositiveFloat
    """From the start of the training to its end, validation and snapshots included."""
    doubts: tuple[str, ...] = ()
    environment: Environment

    @property
    def seconds(self) -> tuple[float, ...]:
        """Time of each timed step, waiting included."""
        return tuple(data + compute for data, compute in zip(self.data_s, self.compute_s, strict=True))

    @property
    def images_per_s(self) -> float:
        """Rate of all timed steps."""
        return sum(self.images) / sum(self.seconds)

    @property
    def data_share(self) -> float:
        """Share of the time that was spent waiting for images, 0..1."""
        return sum(self.data_s) / sum(self.seconds)

    @property
    def cards(self) -> int:
        """Number of devices: each process has its own, but processes on one CPU share it."""
        return self.machines if self.device.partition(":")[0] == "cpu" else self.processes
