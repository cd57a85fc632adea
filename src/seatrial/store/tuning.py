"""What `compile --tune` tried, as an engine's manifest has it."""

from seatrial.strict import Strict


class Setting(Strict):
    """How an engine may be run."""

    batch_size: int
    streams: int
    threads: int | None
    """The engine's option of that name; None is its default."""


class Trial(Setting):
    """One setting, measured while tuning."""

    duration_s: float
    """Least time of timing that was requested."""
    images_per_s: float


class Tuning(Strict):
    """What `compile --tune` tried and took."""

    best: Trial
    trials: tuple[Trial, ...]
