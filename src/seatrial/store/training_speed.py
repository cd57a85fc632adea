"""The record of how fast a network trained: `training-speed.json`, every timed step kept."""

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from seatrial.store.measurement import Environment
from seatrial.store.record import Record


class TrainingSpeedRecord(Record):
    """The steps of a training, what was trained and on what."""

    schema_: Literal["seatrial/training-speed/1"] = Field(default="seatrial/training-speed/1", alias="schema")
    name: str
    recipe: str
    device: str
    """Of each process, such as `cuda`."""
    processes: PositiveInt
    machines: PositiveInt = 1
    batch_size: PositiveInt
    """Images a step, over all processes."""
    size: tuple[PositiveInt, PositiveInt]
    """Height and width of an image in training."""
    precision: str
    synthetic: bool
    """Random images: nothing was read or decoded."""
    settings: dict[str, Any]
    excluded: NonNegativeInt
    """Steps before the first timed one."""
    images: tuple[PositiveInt, ...]
    """Of each timed step."""
    data_s: tuple[NonNegativeFloat, ...]
    """That each step waited for its images, the longest of all processes."""
    compute_s: tuple[NonNegativeFloat, ...]
    """The rest of each step."""
    epochs: NonNegativeInt
    """That were trained to their end."""
    top1: float | None
    """Of the last validation."""
    loss: float | None
    """Of the last step."""
    wall_s: PositiveFloat
    """From the start of the training to its end, validation and snapshots included."""
    doubts: tuple[str, ...] = ()
    environment: Environment

    @property
    def seconds(self) -> tuple[float, ...]:
        """Of each timed step, waiting included."""
        return tuple(data + compute for data, compute in zip(self.data_s, self.compute_s, strict=True))

    @property
    def images_per_s(self) -> float:
        """Of all timed steps."""
        return sum(self.images) / sum(self.seconds)

    @property
    def data_share(self) -> float:
        """Share 0..1 of the time that was spent waiting for images."""
        return sum(self.data_s) / sum(self.seconds)

    @property
    def cards(self) -> int:
        """Devices that worked together: processes on one CPU share it, each other process has its own."""
        return self.machines if self.device.partition(":")[0] == "cpu" else self.processes
