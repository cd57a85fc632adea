"""How a stage reports its progress: plain values for a callback, so that no stage prints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Update:
    """One thing to show. With `total` it is a step of counted work, with `note` a line to keep.

    With `doing` it says what begins and cannot be counted, such as a compilation: how long it goes on is shown until
    the next update.
    """

    stage: str
    done: int = 0
    total: int = 0
    unit: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Short figures to show beside the bar, already formatted, such as {"loss": "1.27"}."""
    note: str = ""
    doing: str = ""


Progress = Callable[[Update], None]


def silent(update: Update) -> None:
    """Show nothing."""


def write_length(seconds: float) -> str:
    """How long something takes that nobody knows to the second: 12 s, 1.3 min."""
    return f"{seconds:.0f} s" if seconds < 59.5 else f"{seconds / 60:.1f} min"
