"""`seatrial train --performance`: the steps of a training to the record of its speed."""

from collections.abc import Iterator, Sequence

from seatrial.errors import UsageError
from seatrial.recipes import Recipe
from seatrial.store.training import TrainingRecord, TrainingSpeedRecord
from seatrial.train.checkpoint.train_state import WARMUP_STEPS
from seatrial.train.tracking.events import Step

SPEED = "training-speed.json"
FEW = 20
"""With fewer timed steps the rate is doubtful."""


def describe_speed(
    steps: Sequence[Step], record: TrainingRecord, recipe: Recipe, wall_s: float, machines: int
) -> TrainingSpeedRecord:
    """Make the record of a training's steps, without the warm-up.

    Args:
        recipe: with the training's settings.
        wall_s: from the start of the training to its end.

    Raises:
        UsageError: there is no step.
    """
    excluded = min(WARMUP_STEPS, len(steps) // 2)
    timed = steps[excluded:]
    if not timed:
        raise UsageError("no step was timed", "give more images, or --synthetic")
    settings, (height, width) = recipe.train, recipe.input_size
    return TrainingSpeedRecord(
        name=f"{record.world_size}p-{record.device.partition(':')[0].upper()}",
        recipe=record.recipe,
        device=record.device,
        processes=record.world_size,
        machines=machines,
        batch_size=settings.batch_size,
        size=(settings.size, settings.size) if settings.size else (height, width),
        precision=record.precision,
        synthetic=record.synthetic,
        settings=record.settings,
        excluded=excluded,
        images=tuple(step.images for step in timed),
        data_s=tuple(step.data_s for step in timed),
        compute_s=tuple(step.compute_s for step in timed),
        epochs=len(record.epochs),
        top1=record.epochs[-1].val_top1 if record.epochs else None,
        loss=timed[-1].loss,
        wall_s=wall_s,
        doubts=tuple(_doubt(len(timed), record, machines)),
        environment=record.environment,
    )


def _doubt(steps: int, record: TrainingRecord, machines: int) -> Iterator[str]:
    if steps < FEW:
        yield f"only {steps} steps were timed"
    processes = record.world_size // machines
    if record.device.startswith("cpu") and processes > 1:
        yield f"{processes} processes share the cores of one machine"
