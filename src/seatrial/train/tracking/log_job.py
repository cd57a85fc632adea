"""What a training tells its listeners before it begins."""

from dataclasses import dataclass
from pathlib import Path

from seatrial.recipes.training import Train


@dataclass(frozen=True, slots=True)
class LogJob:
    """Whose training is told, and where to."""

    output: Path
    recipe: str
    """The card's name."""
    key: str
    """What identifies the training."""
    settings: Train
    step: int = 0
    """Steps behind the snapshot that the training goes on from; 0 begins anew."""
    epochs: int = 0
    """Whole epochs behind it, their validation included."""
    track: tuple[str, ...] = ()
    """Of tensorboard and mlflow."""
    dllogger: bool = False
