"""How sure an accuracy, or a difference of two, can be."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, ndtri

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

    Newcombe's square-and-add interval for paired proportions from Wilson's limits, with the correlation of the two
    answers (Newcombe 1998b, method 10). Unlike Wald's it has width when nothing flipped.
    """
    z = float(ndtri(confidence))
    n = paired.count
    reference, other = paired.both_right + paired.lost, paired.both_right + paired.gained
    low_r, high_r = _wilson(reference, n, z)
    low_o, high_o = _wilson(other, n, z)
    share_r, share_o = reference / n, other / n
    phi = _correlation(paired)
    below = (share_r - low_r, high_o - share_o)
    above = (high_r - share_r, share_o - low_o)
    drop = share_r - share_o
    return drop - _combine(*below, phi), drop + _combine(*above, phi)


def _combine(a: float, b: float, phi: float) -> float:
    return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))


def _correlation(paired: Paired) -> float:
    """Newcombe's phi: the answers' correlation, its positive part corrected for continuity."""
    a, b, c, d = paired.both_right, paired.lost, paired.gained, paired.both_wrong
    product = math.prod((a + b, c + d, a + c, b + d))
    if product == 0:
        return 0.0
    covariance = float(a * d - b * c)
    if covariance > 0:
        covariance = max(covariance - paired.count / 2, 0)
    return covariance / math.sqrt(product)


def mcnemar_p(lost: int, gained: int) -> float:
    """Exact two-sided p-value of McNemar's test: the binomial with chance 1/2 on what flipped."""
    n, k = lost + gained, min(lost, gained)
    if n == 0:
        return 1.0
    # The binomial's distribution function: P(X <= k) = I_{1/2}(n - k, k + 1).
    return min(1.0, 2 * float(betainc(n - k, k + 1, 0.5)))


def compare_answers(
    reference: NDArray[np.integer], answers: NDArray[np.integer], labels: NDArray[np.integer], name: str
) -> Comparison:
    """Hold first classes (n,) against a reference's on the same images in the same order; `name` is the reference's."""
    right, other = reference == labels, answers == labels
    paired = Paired(
        both_right=int((right & other).sum()),
        lost=int((right & ~other).sum()),
        gained=int((~right & other).sum()),
        both_wrong=int((~right & ~other).sum()),
    )
    low, high = drop_interval(paired)
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
        p_value=mcnemar_p(paired.lost, paired.gained),
    )
