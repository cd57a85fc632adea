"""The record of a training: `train.json` beside the checkpoint."""

from typing import Any, Literal

from pydantic import Field

from seatrial.store.measurement import Environment
from seatrial.store.record import Record
from seatrial.strict import Strict


class Epoch(Strict):
    """One pass over the training images, and the validation after it."""

    epoch: int
    loss: float
    train_top1: float | None
    """None where images and labels are mixed, so that nothing is right or wrong."""
    train_top5: float | None = None
    val_top1: float | None
    """None where there is nothing to validate on."""
    val_top5: float | None = None
    val_loss: float | None = None
    learning_rate: float
    """Of the last step."""
    images_per_s: float
    """Of the steps, validation and snapshots not counted."""
    seconds: float
    """Of the steps."""
    data_s: float | None = None
    """Of these, waited for images."""


class Validation(Strict):
    """What the held-out images said of some weights."""

    images: int
    """That were counted, each once."""
    of_images: int
    """Held out; more than were counted if only a part was asked for, or some could not be read."""
    top1: float
    top5: float
    """Of networks with fewer classes, top-k of all of them."""
    loss: float
    """Mean cross entropy, without label smoothing."""
    seconds: float

    @property
    def is_partial(self) -> bool:
        """Whether some held-out images were not counted."""
        return self.images < self.of_images


class TrainingSpeed(Strict):
    """How fast the optimiser's steps were; the first of each sitting are not counted."""

    images_per_s: float
    steps: int
    """That count."""
    skipped_steps: int
    """That do not."""
    seconds: float
    data_s: float
    """Of these, waited for images."""


class TrainingRecord(Record):
    """How a checkpoint was trained: `train.json` beside it."""

    schema_: Literal["seatrial/training/2"] = Field(default="seatrial/training/2", alias="schema")
    key: str
    recipe: str
    preset: str | None = None
    checkpoint: str = ""
    """Empty where no weights were kept: a performance run, a validation."""
    checkpoint_sha256: str = ""
    settings: dict[str, Any]
    precision: str
    """Of the arithmetic, as executed; weights are fp32."""
    device: str = "cpu"
    world_size: int = 1
    """Processes, in the last sitting."""
    epochs: tuple[Epoch, ...]
    validation: Validation | None = None
    """Of the checkpoint."""
    speed: TrainingSpeed | None = None
    bad_images: dict[str, str] = Field(default_factory=dict)
    """Why an image was left out, by id."""
    resumed: int = 0
    """How often it was taken up again."""
    performance: bool = False
    """It was run for its speed only."""
    synthetic: bool = False
    """On random pixels."""
    environment: Environment

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Version 1 knew one process and fewer facts; all that it lacks has a default."""
        if data.get("schema") != "seatrial/training/1":
            return data
        return {**data, "schema": "seatrial/training/2"}
