"""The record of how fast a network trained: `training-speed.json`, with every timed step."""

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from seatrial.store.measurement import Environment
from seatrial.store.record import Record


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
