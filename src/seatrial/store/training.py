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
    """None if images and labels are mixed, so that none is right or wrong."""
    train_top5: float | None = None
    val_top1: float | None
    """None without held-out images."""
    val_top5: float | None = None
    val_loss: float | None = None
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
    bad_images: dict[str, str] = Field(default_factory=dict)
    """Why an image was left out, by id."""
    resumed: int = 0
    """How often it was resumed."""
    performance: bool = False
    """Whether it ran for its speed only."""
    synthetic: bool = False
    """Whether its images were random pixels."""
    environment: Environment

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Version 1 lacks fields that have defaults."""
        if data.get("schema") != "seatrial/training/1":
            return data
        return {**data, "schema": "seatrial/training/2"}
