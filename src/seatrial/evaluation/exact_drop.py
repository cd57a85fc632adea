"""Bounds of a paired drop whose error is what they say, for every number of images and of flips.

Tango's score interval (Tango 1998) takes its statistic for normal. Few losses are counts with a long upper tail, so its
lower bound errs in up to 8 % where 5 % are meant, and three times too often at the small levels of a sequential test.
Here Tango's bounds only say which of two tables speaks for the larger drop; what a bound is follows from the chance of
the tables themselves (Buehler 1957, "Confidence intervals for the product of two binomial parameters", JASA 52; Lloyd &
Kabaila 2003, "On the optimality and limitations of Buehler bounds", Australian & New Zealand J. Statistics 45):

    upper bound = the largest drop under which tables with as low a Tango bound, or a lower one, still come in `level`
                  of all sets, at the worst chance of a gain.

That chance falls as the drop rises, so there is one such drop; in a given order no narrower bounds hold. The worst
chance of a gain is sought only where the gains that were seen allow it (Berger & Boos 1994, "P values maximized over a
confidence set for the nuisance parameter", JASA 89): `NUISANCE` of the level pays for that, and it is less cautious.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from seatrial.evaluation.statistics import Paired, score_statistic
from seatrial.metrics.intervals import CONFIDENCE

NUISANCE = 1 / 500
"""Share of a level that is paid for looking only at chances of a gain that the gains seen allow."""
STEP = 0.25
"""Between chances of a gain that are tried, in standard deviations of the number of gains."""
FINER = 6
"""So many times finer steps are tried beside the worst of them: what is missed then is below a 500th."""
WINDOW_SD = 6
"""Numbers of gains further from their mean than this, and fifteen more, have no chance that counts (< 1e-8)."""
TIE = 1e-9
"""Statistics closer than this are the same one, rounded."""
CLOSE = 1e-5
"""Tolerance of a bound, as a share of its distance from the drop."""
MANY = 200_000
"""Images from which on the normal curve is as good, but for a drop that a handful of flips decides."""


def drop_interval(paired: Paired, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """One-sided bounds of the drop, each at `confidence`, as fractions: the true drop lies beyond one in no more.

    Takes some ms, with 50,000 images some tens.
    """
    swapped = Paired(paired.both_right, paired.gained, paired.lost, paired.both_wrong)
    return -_bound_above(swapped, 1 - confidence), _bound_above(paired, 1 - confidence)


def images_to_settle(paired: Paired, gate_drop: float, confidence: float = CONFIDENCE) -> int | None:
    """About how many more images would move the nearer bound past the gate, were the flips to go on alike.

    To half a percent of all images; the bounds of sets that have so few flips move in jumps, of up to some percent.
    0 if the bounds are past the gate already; None if the drop lies on it, where no number would do.
    """
    if abs(paired.drop - gate_drop) < 1e-12:
        return None
    below = paired.drop < gate_drop
    lost, gained = (paired.lost, paired.gained) if below else (paired.gained, paired.lost)
    gate = gate_drop if below else -gate_drop

    def settles(count: int) -> bool:
        scale = count / paired.count
        return is_surely_below(count, lost * scale, gained * scale, gate, 1 - confidence)

    if settles(paired.count):
        return 0
    # Tango's statistic grows with the root of the number of images when the shares of flips stay.
    statistic = float(score_statistic(paired.count, lost, gained, gate))
    normal = math.ceil(paired.count * (float(scipy.special.ndtri(confidence)) / statistic) ** 2)
    if normal > MANY:
        return normal - paired.count
    low, high = paired.count, max(normal, paired.count + 1)
    while not settles(high):
        low, high = high, math.ceil(1.05 * high)
    while high - low > max(1, high // 200):
        middle = (low + high) // 2
        low, high = (low, middle) if settles(middle) else (middle, high)
    return high - paired.count


@dataclass(frozen=True, slots=True)
class _Tail:
    """All tables that speak for as small a drop as one that was seen, or a smaller one."""

    count: int
    gains: tuple[float, float]
    """The chances of a gain that the gains seen allow."""
    first: int
    """The smallest number of gains that counts."""
    most_lost: NDArray[np.int64]
    """The largest number of losses in such a table by the number of gains, from `first` on; -1 where none is."""

    def find_chance(self, drop: float) -> float:
        """Of such a table when the true drop is `drop`, at the worst chance of a gain."""
        low, high = max(0.0, -drop, self.gains[0]), min((1 - drop) / 2, self.gains[1])
        if low > high:
            return 0.0
        # The number of gains has the same standard deviation everywhere on the scale of the arcsine.
        scale = 2 * math.sqrt(self.count)
        ends = scale * math.asin(math.sqrt(low)), scale * math.asin(math.sqrt(high))
        tried = np.linspace(*ends, 1 + max(1, math.ceil((ends[1] - ends[0]) / STEP)))
        worst = tried[self._add_up(np.sin(tried / scale) ** 2, drop).argmax()]
        beside = np.linspace(max(ends[0], worst - STEP), min(ends[1], worst + STEP), 1 + 2 * FINER)
        return float(self._add_up(np.sin(beside / scale) ** 2, drop).max())

    def _add_up(self, gains: NDArray[np.float64], drop: float) -> NDArray[np.float64]:
        """The chance at each chance of a gain: over the numbers of gains, given which losses are binomial."""
        first, last = _find_window(self.count, gains)
        row = np.repeat(np.arange(len(gains)), last - first + 1)
        gained = np.arange(len(row)) - np.repeat(np.cumsum(last - first + 1) - last - 1, last - first + 1)
        gain = gains[row]
        loss = np.clip((gain + drop) / np.maximum(1 - gain, 1e-300), 0.0, 1.0)
        lost = self.most_lost[gained - self.first]
        chance = _binomial(gained, self.count, gain) * _binomial_up_to(lost, self.count - gained, loss)
        return np.bincount(row, weights=chance).astype(np.float64, copy=False)


def is_surely_below(count: int, lost: float, gained: float, drop: float, level: float = 1 - CONFIDENCE) -> bool:
    """Whether the upper bound of `drop_interval` lies below `drop`, which is quicker than to find it.

    Then tables like this one come in less than `level` of all sets with that drop; counts need not be whole.
    """
    if lost >= count or drop <= (lost - gained) / count:
        return False
    bound = _bound_by_score(count, lost, gained, level)
    return _list_tail(count, gained, bound, level).find_chance(drop) <= level * (1 - NUISANCE)


def _bound_above(paired: Paired, level: float) -> float:
    """The upper bound, found by false position (its Illinois variant) where the tail is nearly straight."""
    if paired.lost == paired.count:
        return 1.0
    start = _bound_by_score(paired.count, paired.lost, paired.gained, level)
    tail = _list_tail(paired.count, paired.gained, start, level)

    def exceed(drop: float) -> float:
        """Above zero while the tail's chance is above the level: in standard deviations."""
        chance = min(max(tail.find_chance(drop), 1e-300), 1 - 1e-15)
        return float(scipy.special.ndtri(chance) - scipy.special.ndtri(level * (1 - NUISANCE)))

    low = high = start
    above = below = exceed(start)
    # A guess of the bound, and then some, so that it lies between.
    step = 1.1 * (start - paired.drop) * max(abs(above), 1e-4) / -float(scipy.special.ndtri(level))
    while below > 0 and high < 1:
        low, above, high = high, below, min(1.0, high + step)
        below, step = exceed(high), 4 * step
    while above <= 0 and low > paired.drop:
        high, below, low = low, above, max(paired.drop, low - step)
        above, step = exceed(low), 4 * step
    close = CLOSE * (high - paired.drop)
    while high - low > close:
        # A little beyond, towards the end that is further off, so that both ends come near.
        beyond = close / 3 if above < -below else -close / 3
        middle = low + (high - low) * above / (above - below) + beyond
        middle = min(max(middle, low + close / 3), high - close / 3)
        excess = exceed(middle)
        if excess > 0:
            low, above, below = middle, excess, below / 2
        else:
            high, below, above = middle, excess, above / 2
    return high


def _bound_by_score(count: int, lost: float, gained: float, level: float) -> float:
    """Tango's upper bound: the largest drop that his test does not reject."""
    low, high = (lost - gained) / count, 1.0
    for _ in range(12):  # 33 sections each time: 2 to the 60th in all.
        drops = np.linspace(low, high, 34)
        kept = int((score_statistic(count, lost, gained, drops) > scipy.special.ndtri(level)).sum())
        low, high = float(drops[max(kept - 1, 0)]), float(drops[min(kept, 33)])
    return (low + high) / 2


def _list_tail(count: int, gained: float, bound: float, level: float) -> _Tail:
    """The tables whose Tango bound is at most `bound`: those whose statistic is, against that drop."""
    alpha = NUISANCE * level / 2
    low = 0.0 if gained <= 0 else float(scipy.special.betaincinv(gained, count - gained + 1, alpha))
    high = 1.0 if gained >= count else float(scipy.special.betaincinv(gained + 1, count - gained, 1 - alpha))
    first, last = _find_window(count, np.array([low, high]))
    numbers = np.arange(first[0], last[1] + 1)
    return _Tail(
        count, (low, high), int(first[0]), _most_lost(count, numbers, bound, float(scipy.special.ndtri(level)))
    )


def _find_window(count: int, gains: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The smallest and largest number of gains that counts, at each chance of a gain."""
    spread = WINDOW_SD * np.sqrt(count * gains * (1 - gains)) + 15
    first = np.maximum(0, np.floor(count * gains - spread)).astype(np.int64)
    return first, np.minimum(count, np.ceil(count * gains + spread)).astype(np.int64)


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
    ways = scipy.special.gammaln(n + 1) - scipy.special.gammaln(k + 1) - scipy.special.gammaln(n - k + 1)
    return np.exp(ways + scipy.special.xlogy(k, p) + scipy.special.xlog1py(n - k, -p))


def _binomial_up_to(k: NDArray[np.int64], n: NDArray[np.int64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(X <= k), also for k of -1."""
    inside = scipy.special.betainc(np.maximum(n - k, 1), np.maximum(k + 1, 1), 1 - p)
    return np.where(k < 0, 0.0, np.where(k >= n, 1.0, inside))
