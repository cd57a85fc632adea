"""`seatrial train --performance`: the steps of a training to the record of its speed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import UsageError
from seatrial.recipes import Recipe
from seatrial.store.records import Epoch, TrainingRecord
from seatrial.store.training_speed import TrainingSpeedRecord
from seatrial.train.tracking.events import Step

SPEED = "training-speed.json"
EXCLUDED = 10
"""First steps that are not timed, as in the guides: buffers are made and kernels chosen in them."""
FEW = 20
"""Timed steps under which the rate is doubted."""


@dataclass(frozen=True, slots=True)
class SpeedContext:
    """What one must know of the steps."""

    record: TrainingRecord
    recipe: Recipe
    """With the settings that it was trained by."""
    wall_s: float
    """From the start of the training to its end."""
    machines: int = 1


def describe_speed(steps: Sequence[Step], epochs: Sequence[Epoch], context: SpeedContext) -> TrainingSpeedRecord:
    """The record of a training's steps, the first ones left out.

    Raises:
        UsageError: no step is left.
    """
    excluded = min(EXCLUDED, len(steps) // 2)
    timed = steps[excluded:]
    if not timed:
        raise UsageError("a training without a step has no speed", "give it more images, or --synthetic")
    record, settings = context.record, context.recipe.train
    height, width = context.recipe.input_size
    return TrainingSpeedRecord(
        name=f"{record.world_size}p-{record.device.partition(':')[0].upper()}",
        recipe=record.recipe,
        device=record.device,
        processes=record.world_size,
        machines=context.machines,
        batch_size=settings.batch_size,
        size=(settings.size, settings.size) if settings.size else (height, width),
        precision=record.precision,
        synthetic=record.synthetic,
        settings=record.settings,
        excluded=excluded,
        images=tuple(step.images for step in timed),
        data_s=tuple(step.data_s for step in timed),
        compute_s=tuple(step.compute_s for step in timed),
        epochs=len(epochs),
        top1=epochs[-1].val_top1 if epochs else None,
        loss=timed[-1].loss,
        wall_s=context.wall_s,
        doubts=tuple(_doubt(timed, context)),
        environment=record.environment,
    )


def _doubt(timed: Sequence[Step], context: SpeedContext) -> list[str]:
    doubts = []
    if len(timed) < FEW:
        doubts.append(f"only {len(timed)} steps were timed")
    processes = context.record.world_size // context.machines
    if context.record.device.startswith("cpu") and processes > 1:
        doubts.append(f"{processes} processes share the cores of one machine")
    return doubts


def load_speed(output: Path) -> TrainingSpeedRecord:
    """The record that a training with `performance` left in its folder.

    Raises:
        UsageError: there is none.
        RefusedFile: it is damaged.
    """
    return TrainingSpeedRecord.load(output / SPEED)
