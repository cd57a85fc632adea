"""Which of several settings is the slower for certain, while they are still being measured round by round.

The logarithm of the time of an image is taken for the sum of what the setting takes, of what the machine does to all
settings of a round alike, and of noise of its own: the two-way layout. Least squares give both at once, also where
not every setting is in every round (Scheffé, "The Analysis of Variance", 1959, chapter 4), and Student's t bounds how
much slower one setting is than another. The noise is pooled over all settings, so that two rounds of a few of them are
enough to drop what is far behind after one; a setting whose own noise is larger counts with its own.

Looking at many settings after each round are many chances to drop the fastest. A race of K settings in R rounds takes
(K - 1) · R bounds of the fastest setting against another, each at alpha / ((K - 1) · R): by the union bound the
fastest is dropped in no more than alpha of all races, whatever is measured next. `tests/unit/metrics/test_race.py`
simulates it, on settings of equal and of unequal noise; `tests/unit/workflow/choose/test_race.py` does with a first
stage in one process.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from seatrial.metrics.intervals import exact_bounds

ALPHA = 0.05
"""The chance that a race drops the fastest; also that of a latency that is taken for kept or for missed, and is not."""
OWN_ROUNDS = 3
"""In so many rounds a setting shows noise of its own."""
Key = TypeVar("Key", bound=Hashable)
Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class TwoWayFit(Generic[Key]):
    """Settings in rounds, taken apart into settings, rounds and noise."""

    keys: tuple[Key, ...]
    effects: NDArray[np.float64]
    """(settings,), the logarithm of the time of an image; only differences mean something."""
    spread: NDArray[np.float64]
    """(settings, settings), the covariance of `effects` in units of the noise's variance."""
    rounds: NDArray[np.int64]
    """(settings,), in how many each was measured."""
    variance: float
    """Of the noise of one setting in one round, pooled over all; infinite where nothing was repeated."""
    own: NDArray[np.float64]
    """(settings,), the variance of each setting's own noise; 0 where it was in fewer than `OWN_ROUNDS`."""
    freedom: int
    """Degrees of freedom of `variance`."""

    def find_fastest(self, among: Sequence[Key]) -> Key:
        """The one that takes the least time by the estimate."""
        return min(among, key=lambda key: float(self.effects[self.keys.index(key)]))

    def compare(self, key: Key, other: Key, level: float) -> Bounds:
        """One-sided bounds, each at `1 - level`, of how many times as long an image takes in one as in the other."""
        i, j = self.keys.index(key), self.keys.index(other)
        difference = float(self.effects[i] - self.effects[j])
        factor = float(self.spread[i, i] + self.spread[j, j] - 2 * self.spread[i, j])
        variance = max(self.variance, float(self.own[i]), float(self.own[j]))
        if i == j or not self.freedom or math.isinf(variance):
            return (1.0, 1.0) if i == j else (0.0, math.inf)
        half = float(stdtrit(self.freedom, 1 - level)) * math.sqrt(factor * variance)
        return _exp(difference - half), _exp(difference + half)


def _exp(value: float) -> float:
    return math.inf if value > 700 else math.exp(value)


def fit_layout(rounds: Sequence[Mapping[Key, float]]) -> TwoWayFit[Key]:
    """Take the logarithms of times apart, by round and setting.

    Every round must have a setting in common with another, as it has where the fastest so far is in all of them.

    Raises:
        ValueError: there is none.
    """
    keys = tuple(dict.fromkeys(key for times in rounds for key in times))
    if not keys:
        raise ValueError("no times to take apart")
    column = {key: place for place, key in enumerate(keys)}
    entries = [(column[key], number, value) for number, times in enumerate(rounds) for key, value in times.items()]
    design = np.zeros((len(entries), len(keys) + len(rounds)))
    places = np.arange(len(entries))
    design[places, [entry[0] for entry in entries]] = 1
    design[places, [len(keys) + entry[1] for entry in entries]] = 1
    values = np.array([entry[2] for entry in entries])
    inverse: NDArray[np.float64] = np.linalg.pinv(design.T @ design, hermitian=True).astype(np.float64)
    found = inverse @ design.T @ values
    residuals = values - design @ found
    freedom = len(entries) - int(np.linalg.matrix_rank(design))
    of_setting = design[:, : len(keys)]
    counts = of_setting.sum(axis=0).astype(np.int64)
    # An equal share of the degrees of freedom for each measurement.
    share = freedom / len(entries)
    squares = of_setting.T @ residuals**2
    own = np.where(counts >= OWN_ROUNDS, squares / np.maximum(counts * share, 1e-12), 0.0)
    return TwoWayFit(
        keys=keys,
        effects=found[: len(keys)],
        spread=inverse[: len(keys), : len(keys)],
        rounds=counts,
        variance=float((residuals**2).sum()) / freedom if freedom else math.inf,
        own=own if freedom else np.zeros(len(keys)),
        freedom=freedom,
    )


def share_error(settings: int, looks: int, alpha: float = ALPHA) -> float:
    """The level of each bound, so that all of a race together err in no more than `alpha`."""
    return alpha / (max(1, settings - 1) * looks)


def spend_error(place: int, alpha: float = ALPHA) -> float:
    """The level of the `place`-th test, from 1 on, of which nobody knows how many there will be: all err in `alpha`."""
    return alpha / (place * (place + 1))


def judge_share(longer: int, count: int, percent: float, level: float) -> bool | None:
    """Whether a percentile of durations is certainly within a limit (True) or beyond (False); None is neither.

    It is where no more than 100 - `percent` % of all durations are longer: an exact bound of that share, each at
    `1 - level` (Clopper and Pearson 1934), that takes samples for independent.

    Args:
        longer: so many of `count` durations are longer than the limit.
    """
    allowed = 1 - percent / 100
    low, high = exact_bounds(longer, count, 1 - level) if count else (0.0, 1.0)
    return True if high < allowed else False if low > allowed else None


def count_needed(percent: float, level: float) -> int:
    """The fewest durations, none above a limit, of which `judge_share` is certain."""
    return math.floor(math.log(level) / math.log(percent / 100)) + 1
