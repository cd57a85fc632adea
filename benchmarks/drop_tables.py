"""Many simulated tables of losses and gains judged at once, as the package judges one.

With the gains of a table given, the package's upper bound rises with the losses: for each number of gains there is a
largest number of losses that passes. Failing is the same with losses and gains exchanged.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from seatrial.evaluation.exact_drop import is_surely_below
from seatrial.evaluation.statistics import score_statistic

Counts = NDArray[np.int64]
_FOUND: dict[tuple[int, float, float], dict[int, int]] = defaultdict(dict)


def judge_tables(
    count: int, lost: Counts, gained: Counts, gate: float, level: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which sets of `count` images pass, and which fail.

    Args:
        lost: (sets,); so `gained`.
        gate: a drop, as a fraction.
        level: the chance of error of each bound.
    """
    return lost <= find_most_lost(count, gained, gate, level), gained <= find_most_lost(count, lost, -gate, level)


def find_most_lost(count: int, gained: Counts, gate: float, level: float) -> Counts:
    """The largest numbers of losses that pass, by numbers of gains; -1 where none does."""
    found = _FOUND[count, gate, level]
    numbers, where = np.unique(gained, return_inverse=True)
    # What Tango's statistic says is out by the same few losses for neighbours.
    out = 0
    for number, guess in zip(numbers.tolist(), find_tangos(count, numbers, gate, level).tolist(), strict=True):
        if number not in found:
            found[number] = _search(count, number, gate, level, guess + out)
        out = found[number] - guess
    return np.array([found[number] for number in numbers.tolist()])[where]


def _search(count: int, gained: int, gate: float, level: float, guess: int) -> int:
    def passes(lost: int) -> bool:
        if lost < 0:
            return True
        if lost + gained > count:
            return False
        return is_surely_below(count, lost, gained, gate, level)

    guess = max(-1, guess)
    while not passes(guess):
        guess -= 1
    while passes(guess + 1):
        guess += 1
    return guess


def find_tangos(count: int, gained: Counts, gate: float, level: float) -> Counts:
    """The largest numbers of losses with which the upper bound of Tango's interval lies below the gate."""
    low, high = np.full_like(gained, -1), count - gained + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        passes = (middle < 0) | (score_statistic(count, np.maximum(middle, 0), gained, gate) <= ndtri(level))
        low, high = np.where(passes, middle, low), np.where(passes, high, middle)
    return low
