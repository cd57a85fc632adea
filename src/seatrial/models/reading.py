"""What a user says of a checkpoint; imports no framework."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class CheckpointReading:
    """What the user says of a checkpoint that cannot be told from the file."""

    key: str | None = None
    """Where in the file the weights are; its parts joined by dots."""
    prefix: str | None = None
    """What stands before the names of the network's weights; other names are left out."""
    weights: Literal["raw", "ema"] | None = None
    """Which of both to take; None: the averaged ones, if there are any."""


AS_IT_IS = CheckpointReading()
"""Nothing is said."""
