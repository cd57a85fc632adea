"""Whether a rate may be divided by another: when it may not, any ratio may come out, such as 224 for 5."""

from collections.abc import Iterable

from seatrial.metrics.rate import Bounds

WIDE = 4.0
"""Upper over lower bound of a rate's 95 % interval: beyond, the rate is uncertain by a factor of 2 either way. Two
processes that differ by 5 % have an interval of 1.9, as Student's t of two values knows little."""
MOST_BUSY = 0.7
"""Share of all processor time: where other processes use more, what is measured is mostly them."""
CONTRADICTED = 1.25
"""An evaluation reads and decodes files besides, so it is not that much faster than the engine alone."""
MEASURE_AGAIN = "`seatrial run --measure-again`, or for an engine of no run `seatrial bench --force`, measures again"
"""`seatrial bench` over a run's record would leave its verdict stale."""
MEASURE_RUN_AGAIN = "`seatrial run --measure-again` measures again"
"""Where only a run can be meant."""


def doubt_rate(interval: Bounds | None, others_busy: Iterable[float | None]) -> str | None:
    """Why a rate is no end of a ratio; None where nothing speaks against it.

    Args:
        interval: of the rate; None where nothing repeats.
        others_busy: of each process that measured, the share 0..1 of all processor time that others used meanwhile.
    """
    busiest = max((busy or 0.0 for busy in others_busy), default=0.0)
    if busiest > MOST_BUSY:
        return f"other processes used {busiest:.0%} of the processors while it was measured"
    if interval is not None and interval[1] > WIDE * interval[0]:
        return f"its 95 % interval is {interval[0]:.3g} to {interval[1]:.3g} images/s"
    return None


def find_contradiction(best: float, evaluated: float, streams: int) -> str | None:
    """Why an evaluation of the same engine on the same machine shows that a measured rate is too low.

    Args:
        best: most images per second that were measured on one stream, at batch sizes up to the evaluation's or more.
        evaluated: images per second of the evaluation, from files.
        streams: batches that the evaluation had in the engine at a time; each may add as much again.
    """
    if evaluated <= CONTRADICTED * max(1, streams) * best:
        return None
    return f"the evaluation gave {evaluated:.3g} images/s from files, the measurement {best:.3g} without them"
