"""The exact test of a paired drop: how likely a score statistic is, without the normal curve.

In the tail that proves a drop to be above a gate, Tango's statistic of few flips is likelier than the normal curve
says, up to three times at a level of 0.05 %: few losses are counts with a long upper tail. In the other tail the normal
curve is right to some percent. Levels as small as those of a sequential test need the exact chance.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, gammaln, xlog1py, xlogy

from seatrial.evaluation.statistics import Paired, score_statistic

WINDOW_SD = 8
"""Numbers of gains further from their mean than this, and fifteen more, have no chance that counts (< 1e-14)."""
TIE = 1e-9
"""Statistics closer than this are the same one, rounded."""


def exact_p(paired: Paired, drop: float) -> float:
    """The exact unconditional p-value of "the true drop is at least `drop`", small when less was seen.

    The tables at least as extreme are ordered by Tango's statistic, and their chance is the largest that any chance of
    a gain gives them (Barnard 1947; for paired proportions Sidik 2003, Berger & Sidik 2003). "At most `drop`" is the
    same with losses and gains exchanged and the drop's sign turned.
    """
    return score_tail(paired.count, drop, float(score_statistic(paired.count, paired.lost, paired.gained, drop)))


def score_tail(count: int, drop: float, statistic: float) -> float:
    """The chance of a statistic of at most `statistic` when the true drop is `drop`, at the worst chance of a gain.

    A sum over the numbers of gains: given these, losses are binomial. Such tables hold few losses for their gains, so
    that higher true drops make them rarer still: `drop` is the worst case of "at least `drop`".
    """
    gains = _list_gains(count, drop)
    spread = np.sqrt(count * gains * (1 - gains))
    first = np.maximum(0, np.floor(count * gains - WINDOW_SD * spread - 15)).astype(np.int64)
    last = np.minimum(count, np.ceil(count * gains + WINDOW_SD * spread + 15)).astype(np.int64)
    row = np.repeat(np.arange(len(gains)), last - first + 1)
    gained = np.concatenate([np.arange(low, high + 1) for low, high in zip(first, last, strict=True)])
    gain = gains[row]
    loss = np.clip((gain + drop) / (1 - gain), 0.0, 1.0)
    lost = _most_lost(count, gained, drop, statistic)
    chance = _binomial(gained, count, gain) * _binomial_up_to(lost, count - gained, loss)
    return float(np.bincount(row, weights=chance).max())


def _list_gains(count: int, drop: float) -> NDArray[np.float64]:
    """Chances of a gain that a drop allows, from none to where every image flips.

    Dense where few gains are expected, because the tail's chance changes fastest there; all over for small sets. The
    largest chance on this grid is within 2 % of the largest there is, 5 % where most images flip.
    """
    low, high = max(0.0, -drop), (1 - drop) / 2
    evenly = np.linspace(0, 1, min(max(30_000 // count, 9), 65))
    return low + (high - low) * np.concatenate([np.geomspace(0.01 / count, 1, 48), evenly])


def _most_lost(count: int, gained: NDArray[np.int64], drop: float, statistic: float) -> NDArray[np.int64]:
    """The largest number of losses whose statistic is at most `statistic`, by numbers of gains; -1 where none is."""
    low, high = np.full_like(gained, -1), count - gained + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        within = (middle < 0) | (score_statistic(count, np.maximum(middle, 0), gained, drop) <= statistic + TIE)
        low, high = np.where(within, middle, low), np.where(within, high, middle)
    return low


def _binomial(k: NDArray[np.int64], n: int, p: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(X = k)."""
    ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return np.exp(ways + xlogy(k, p) + xlog1py(n - k, -p))


def _binomial_up_to(k: NDArray[np.int64], n: NDArray[np.int64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(X <= k), also for k of -1."""
    inside = betainc(np.maximum(n - k, 1), np.maximum(k + 1, 1), 1 - p)
    return np.where(k < 0, 0.0, np.where(k >= n, 1.0, inside))
