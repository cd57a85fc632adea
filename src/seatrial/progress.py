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


def write_duration(seconds: float) -> str:
    """A duration for people, in its two largest units: 8 s, 2 min 5 s, 12 min, 3 h 20 min, 5 days.

    What a command takes is `store.command_line.write_duration_option`.
    """
    left = round(seconds) if seconds < _ROUNDED_S else 60 * round(seconds / 60)
    parts = []
    for unit, size in _UNITS.items():
        if unit == "days" and left < 2 * size:
            continue
        count, left = divmod(left, size)
        parts += [f"{count} {unit}"] if count else []
    return " ".join(parts[:2]) or "0 s"


_UNITS = {"days": 86400, "h": 3600, "min": 60, "s": 1}
_ROUNDED_S = 600
"""From here on seconds are left out."""
