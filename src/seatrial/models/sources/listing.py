"""What `seatrial recipes list` shows of a model reference."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listed:
    """One reference."""

    reference: str
    size: tuple[int, int]
    """Height and width that the network takes."""
    classes: int
    parameters: int | None
    top1: float | None
    """As published, a share; None: not published."""
    licence: str | None
