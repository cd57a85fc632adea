"""How much longer one engine takes than another, from turns that are given."""

import math

import pytest

from seatrial.bench.pair import PairTimes
from seatrial.metrics.rate import BLOCKS, BLOCKS_QUANTILE


def test_the_ratio_is_of_each_rounds_means_so_that_what_slows_both_down_does_not_count() -> None:
    load = [2.0**number for number in range(BLOCKS)]
    times = PairTimes(
        first_ms=tuple((2 * each, 4 * each) for each in load), second_ms=tuple((each, each) for each in load)
    )
    assert times.ratio == pytest.approx((3, 3))


def test_rounds_that_disagree_make_the_interval_wide() -> None:
    logs = [0.1 if number % 2 else -0.1 for number in range(BLOCKS)]
    times = PairTimes(first_ms=tuple((math.exp(log),) for log in logs), second_ms=((1.0,),) * BLOCKS)
    half = BLOCKS_QUANTILE * 0.1 * math.sqrt(BLOCKS / (BLOCKS - 1)) / math.sqrt(BLOCKS)
    assert times.ratio == pytest.approx((math.exp(-half), math.exp(half)))
