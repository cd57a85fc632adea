"""How sure a difference of two accuracies can be."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Paired:
    """Two predictions for each of the same images, counted by which was right."""

    both_right: int
    lost: int
    """The reference right, the other wrong."""
    gained: int
    """The reference wrong, the other right."""
    both_wrong: int

    @classmethod
    def of(cls, right: NDArray[np.bool_], other: NDArray[np.bool_]) -> "Paired":
        """Counted from where (n,) the reference is right, and where the other is."""
        cells = (right & other, right & ~other, ~right & other, ~right & ~other)
        return cls(*(int(cell.sum()) for cell in cells))

    @property
    def count(self) -> int:
        """Number of all images."""
        return self.both_right + self.lost + self.gained + self.both_wrong

    @property
    def drop(self) -> float:
        """Accuracy of the reference minus that of the other, as a fraction."""
        return (self.lost - self.gained) / self.count


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


def mcnemar_p(lost: int, gained: int) -> float:
    """Exact two-sided p-value of McNemar's test: the binomial with chance 1/2 on what flipped."""
    n, k = lost + gained, min(lost, gained)
    if n == 0:
        return 1.0
    # The binomial's distribution function: P(X <= k) = I_{1/2}(n - k, k + 1).
    return min(1.0, 2 * float(scipy.special.betainc(n - k, k + 1, 0.5)))


def gain_p(lost: int, gained: int) -> float:
    """Exact one-sided p-value of McNemar's test that no more is gained than lost: P(X >= gained), X of chance 1/2."""
    return float(scipy.special.betainc(gained, lost + 1, 0.5)) if gained else 1.0
