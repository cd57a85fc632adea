"""What a paired comparison of two accuracies could have found, had it been there."""

import numpy as np
import scipy
from numpy.typing import NDArray

LEVEL = 0.05
"""Of the one-sided test."""
POWER = 0.8
"""Share of such sets in which the drop is found."""
CLOSE = 1e-3
"""Tolerance of a drop, as a share of it."""


def find_least_losses(level: float = LEVEL) -> int:
    """The fewest images that must be lost, with none gained, for McNemar's exact one-sided test to call it a drop."""
    return int(np.ceil(-np.log2(level)))


def find_power(count: int, gain: float, drop: float, level: float = LEVEL) -> float:
    """How often McNemar's exact one-sided test calls a true drop one, over sets of `count` images.

    Args:
        gain: the chance of an image that the reference has wrong and the other right.
        drop: the chance of a loss less that of a gain.
    """
    loss = gain + drop
    flips = gain + loss
    if flips <= 0 or loss > 1:
        return 0.0
    spread = 7 * np.sqrt(count * flips * (1 - min(flips, 1.0))) + 20
    numbers = np.arange(max(0, int(count * flips - spread)), min(count, int(count * flips + spread)) + 1)
    ways = (
        scipy.special.gammaln(count + 1)
        - scipy.special.gammaln(numbers + 1)
        - scipy.special.gammaln(count - numbers + 1)
    )
    chances = np.exp(ways + scipy.special.xlogy(numbers, flips) + scipy.special.xlog1py(count - numbers, -flips))
    critical = _find_critical(numbers, level)
    tail = scipy.special.betainc(np.maximum(critical, 1), np.maximum(numbers - critical + 1, 1), loss / flips)
    found = np.where(critical > numbers, 0.0, tail)
    return float((chances * found).sum())


def _find_critical(flips: NDArray[np.int64], level: float) -> NDArray[np.int64]:
    """The fewest losses among so many flips that the test calls a drop; one more than all of them where none are."""
    low, high = flips // 2, flips + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        # P(X >= k) of the binomial with chance 1/2.
        tail = scipy.special.betainc(np.maximum(middle, 1), np.maximum(flips - middle + 1, 1), 0.5)
        rejects = (middle > 0) & (tail <= level)
        low, high = np.where(rejects, low, middle), np.where(rejects, middle, high)
    return high


def find_detectable_drop(count: int, gained: int, level: float = LEVEL, power: float = POWER) -> float | None:
    """The smallest true drop, as a fraction, that McNemar's exact one-sided test finds in `power` of all sets.

    Args:
        gained: images that are gained on a set of `count`; so many are taken to be gained whatever the drop is.

    Returns:
        None where no drop would be found so often.
    """
    gain, highest = gained / count, 1 - 2 * gained / count
    low, high = 0.0, min(highest, find_least_losses(level) / count)
    while find_power(count, gain, high, level) < power:
        if high >= highest:
            return None
        low, high = high, min(highest, 2 * high)
    while high - low > CLOSE * high:
        middle = (low + high) / 2
        low, high = (middle, high) if find_power(count, gain, middle, level) < power else (low, middle)
    return high
