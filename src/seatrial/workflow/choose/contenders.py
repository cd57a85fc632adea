"""Who races, what a race is run on, and why a setting leaves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from seatrial.store.choice import write_setting
from seatrial.store.records import Outcome


@dataclass(frozen=True, slots=True)
class Contender:
    """One setting of one candidate."""

    candidate: str
    batch_size: int
    streams: int
    threads: int | None = None
    """None is the engine's default."""

    def __str__(self) -> str:
        return write_setting(self.candidate, self.batch_size, self.streams, self.threads)


@dataclass(frozen=True, slots=True)
class LatencyLimit:
    """What a batch may take."""

    limit_ms: float
    percent: float
    """Of all batches that may take no longer."""


@dataclass(frozen=True, slots=True)
class RoundSamples:
    """What was measured of a setting at once."""

    durations_ms: tuple[float, ...]
    quiet: bool
    """Nothing else used the processors meanwhile, as far as that is known."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a candidate keeps the accuracy."""

    outcome: Outcome
    reason: str


DropKind = Literal["slower", "accuracy", "accuracy open", "latency", "latency open", "failed"]


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a setting left the race."""

    kind: DropKind
    reason: str


class Track(Protocol):
    """What a race is run on."""

    def screen(self, contender: Contender, number: int) -> RoundSamples:
        """Look at a setting for a short time in a process that stays open, or find it looked at.

        Args:
            number: of the round.

        Raises:
            EngineError: it cannot be run so.
        """

    def measure(self, contender: Contender, number: int, least: int) -> RoundSamples:
        """Measure a setting in a fresh process, or find it measured.

        Args:
            number: of the round, or of another measurement.
            least: fewest durations; 0 leaves it open.

        Raises:
            EngineError: it cannot be run so.
        """

    def confirm(self, contender: Contender) -> RoundSamples:
        """Measure a setting in a fresh process that compares its timed outputs with untimed ones.

        Raises:
            ParityError: they are others.
            EngineError: it cannot be run so.
        """

    def judge(self, candidate: str) -> Judged:
        """Evaluate a candidate until its verdict is certain."""

    def replace(self, candidate: str) -> Sequence[Contender]:
        """What joins the race as a candidate that does not keep the accuracy leaves it."""

    def is_over(self) -> bool:
        """Whether the time is up."""
