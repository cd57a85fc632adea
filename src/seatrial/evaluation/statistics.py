"""How sure an accuracy, or a difference of two, can be."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincinv, ndtri

from seatrial.store.records import Comparison

CONFIDENCE = 0.95
"""Of one-sided bounds in gates and of two-sided intervals in tables."""


def wilson_interval(hits: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's two-sided score interval of a fraction (Wilson 1927; Newcombe 1998a, method 3)."""
    return _wilson(hits, count, float(ndtri(0.5 + confidence / 2)))


def _wilson(hits: int, count: int, z: float) -> tuple[float, float]:
    if count == 0:
        return 0.0, 1.0
    share = hits / count
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    low = 0.0 if hits == 0 else (centre - spread) / scale
    high = 1.0 if hits == count else (centre + spread) / scale
    return low, high


def exact_bounds(hits: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """One-sided bounds of a fraction, each at `confidence` (Clopper and Pearson 1934): never too narrow."""
    low = float(betaincinv(hits, count - hits + 1, 1 - confidence)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, confidence)) if hits < count else 1.0
    return low, high


@dataclass(frozen=True, slots=True)
class Paired:
    """Two answers to each of the same images, counted by who was right."""

    both_right: int
    lost: int
    """The reference right, the other wrong."""
    gained: int
    """The reference wrong, the other right."""
    both_wrong: int

    @property
    def count(self) -> int:
        """All images."""
        return self.both_right + self.lost + self.gained + self.both_wrong

    @property
    def drop(self) -> float:
        """Accuracy of the reference minus that of the other, as a fraction."""
        return (self.lost - self.gained) / self.count


def drop_interval(paired: Paired, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """One-sided bounds of the drop, each at `confidence`, as fractions.

    Tango's score interval for paired proportions (Tango 1998): the drops that its score test does not reject. Unlike
    Wald's it has width when nothing flipped, and unlike Newcombe's its error does not grow when all flips go one way.
    """
    z = float(ndtri(confidence))
    wanted, bound = np.array([z, -z]), np.arange(2)
    low, high = np.array([-1.0, paired.drop]), np.array([paired.drop, 1.0])
    for _ in range(12):  # 33 sections each time: 2 to the 60th in all.
        drops = np.linspace(low, high, 34)
        passed = (score_statistic(paired.count, paired.lost, paired.gained, drops) > wanted).sum(axis=0)
        low, high = drops[np.maximum(passed - 1, 0), bound], drops[np.minimum(passed, 33), bound]
    return float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2


def score_statistic(count: int, lost: ArrayLike, gained: ArrayLike, drop: ArrayLike) -> NDArray[np.float64]:
    """Tango's standard normal statistic of "the true drop is `drop`", falling from lower to higher drops.

    The chance of a gain is estimated under that hypothesis: the root of Tango's quadratic.

    Args:
        lost: numbers, or arrays that broadcast; so `gained` and `drop` (fractions).
    """
    lost, gained, drop = (np.asarray(given, dtype=np.float64) for given in (lost, gained, drop))
    b = -lost - gained + (2 * count - lost + gained) * drop
    c = -gained * drop * (1 - drop)
    gain = (np.sqrt(np.maximum(0.0, b * b - 8 * count * c)) - b) / (4 * count)
    variance = np.maximum(0.0, count * (2 * gain + drop * (1 - drop)))
    distance = lost - gained - count * drop
    with np.errstate(divide="ignore", invalid="ignore"):
        # Nothing can vary, and nothing did: that is no evidence against the hypothesis.
        return np.where(distance == 0, 0.0, distance / np.sqrt(variance))


def images_to_settle(paired: Paired, gate_drop: float) -> int | None:
    """How many more images would move the nearer bound of `drop_interval` past the gate, were the flips to go on alike.

    Tango's statistic grows with the root of the number of images when the shares of flips stay, so the number is exact
    for such a set. 0 if the bounds are past the gate already; None if the drop lies on it, where no number would do.
    """
    statistic = float(score_statistic(paired.count, paired.lost, paired.gained, gate_drop))
    if abs(paired.drop - gate_drop) < 1e-12:
        return None
    return max(0, math.ceil(paired.count * ((float(ndtri(CONFIDENCE)) / statistic) ** 2 - 1)))


def mcnemar_p(lost: int, gained: int) -> float:
    """Exact two-sided p-value of McNemar's test: the binomial with chance 1/2 on what flipped."""
    n, k = lost + gained, min(lost, gained)
    if n == 0:
        return 1.0
    # The binomial's distribution function: P(X <= k) = I_{1/2}(n - k, k + 1).
    return min(1.0, 2 * float(betainc(n - k, k + 1, 0.5)))


def gain_p(lost: int, gained: int) -> float:
    """Exact one-sided p-value of McNemar's test that no more is gained than lost: P(X >= gained), X of chance 1/2."""
    return float(betainc(gained, lost + 1, 0.5)) if gained else 1.0


def compare_answers(
    reference: NDArray[np.integer],
    answers: NDArray[np.integer],
    labels: NDArray[np.integer],
    name: str,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Hold first classes (n,) against a reference's on the same images in the same order; `name` is the reference's."""
    right, other = reference == labels, answers == labels
    paired = Paired(
        both_right=int((right & other).sum()),
        lost=int((right & ~other).sum()),
        gained=int((~right & other).sum()),
        both_wrong=int((~right & ~other).sum()),
    )
    low, high = drop_interval(paired, confidence)
    return Comparison(
        reference=name,
        images=paired.count,
        both_right=paired.both_right,
        lost=paired.lost,
        gained=paired.gained,
        changed=int((reference != answers).sum()),
        drop_pp=100 * paired.drop,
        low_pp=100 * low,
        high_pp=100 * high,
        confidence=confidence,
        p_value=mcnemar_p(paired.lost, paired.gained),
    )
