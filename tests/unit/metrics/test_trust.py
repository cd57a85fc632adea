"""Which rates are no ends of a ratio."""

import pytest

from seatrial.metrics.rate import Bounds
from seatrial.metrics.trust import doubt_rate, find_contradiction


@pytest.mark.parametrize(
    ("interval", "busy", "told"),
    [
        (None, [None], None),
        ((90.0, 110.0), [0.3, 0.69], None),
        ((60.0, 200.0), [], None),
        ((10.0, 41.0), [0.0], "its 95 % interval is 10 to 41 images/s"),
        ((90.0, 110.0), [0.1, 0.8], "other processes used 80% of the processors while it was measured"),
    ],
)
def test_a_rate_is_doubted_where_it_is_not_known_or_not_its_own(
    interval: Bounds | None, busy: list[float | None], told: str | None
) -> None:
    assert doubt_rate(interval, busy) == told


@pytest.mark.parametrize(
    ("best", "evaluated", "streams", "contradicted"),
    [
        (0.67, 10.8, 2, True),  # What a busy machine gave.
        (30.0, 25.0, 2, False),
        (30.0, 70.0, 2, False),  # Two streams may bring twice as much.
        (30.0, 76.0, 2, True),
        (30.0, 40.0, 1, True),
    ],
)
def test_an_evaluation_that_is_too_fast_contradicts(
    best: float, evaluated: float, streams: int, contradicted: bool
) -> None:
    found = find_contradiction(best, evaluated, streams)
    assert (found is not None) == contradicted
    assert found is None or f"{evaluated:.3g} images/s from files" in found
