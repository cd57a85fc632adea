"""Steps and epochs of a training that nobody ran, with figures that are easy to reckon with."""

from typing import Any

from seatrial.store.training import Epoch
from seatrial.train.tracking.events import Step

STEPS, EPOCH_STEPS = 6, 3


def make_step(step: int, **changes: Any) -> Step:
    """Step 1 to 6 of two epochs: 8 images, half a second, of which a fifth was waited."""
    epoch, place = divmod(step - 1, EPOCH_STEPS)
    facts: dict[str, Any] = {
        "step": step,
        "steps": STEPS,
        "epoch": epoch + 1,
        "epoch_step": place + 1,
        "epoch_steps": EPOCH_STEPS,
        "images": 8,
        "loss": 3.0 - step / 4,
        "top1": step / 8,
        "top5": None,
        "learning_rate": step / 100,
        "data_s": 0.1,
        "compute_s": 0.4,
    }
    return Step(**{**facts, **changes})


def make_epoch(epoch: int, **changes: Any) -> Epoch:
    """An epoch after three such steps; whatever else an epoch may tell has its default."""
    facts: dict[str, Any] = {
        "epoch": epoch,
        "loss": 2.0 / epoch,
        "train_top1": epoch / 4,
        "val_top1": epoch / 8,
        "learning_rate": epoch / 10,
        "images_per_s": 16.0,
        "seconds": 1.5,
    }
    return Epoch(**{**facts, **changes})
