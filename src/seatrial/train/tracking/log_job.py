"""What the logs of a training need to know when they are opened."""

from dataclasses import dataclass
from pathlib import Path

from seatrial.recipes.training import Train


@dataclass(frozen=True, slots=True)
class LogJob:
    """The training that is logged, and where to."""

    output: Path
    recipe: str
    """Name of the card."""
    key: str
    """Identifies the training."""
    settings: Train
    step: int = 0
    """Steps done in the snapshot that the training resumes from; 0 is a new training."""
    epochs: int = 0
    """Whole epochs done in it, with their validation."""
    track: tuple[str, ...] = ()
    """Trackers: tensorboard, mlflow or both."""
    dllogger: bool = False
