"""The Pareto front of points that are known within intervals: only what another certainly beats is off it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Intervals = NDArray[np.float64]
"""(n, 2), the lower and the upper bound of each point; more is better."""
NONE = -1


def find_beaten(speed: Intervals, quality: Intervals, alike: Sequence[str] = ()) -> NDArray[np.int64]:
    """For each point one that certainly beats it, or -1.

    Another beats it certainly where both its intervals lie above this one's, without touching it; or where only that of
    its speed does, and both are of equal quality by what they are.

    Args:
        alike: of each point a name that points of equal quality have in common; an empty one is shared with none.
    """
    order = np.argsort(-speed[:, 0], kind="stable")
    # Of the points in order, up to each, the one whose quality is surest to be high.
    surest = np.empty(len(order), np.int64)
    for rank, place in enumerate(order.tolist()):
        before = surest[rank - 1] if rank else place
        surest[rank] = place if quality[place, 0] > quality[before, 0] else before
    # So many are certainly faster: their lower bounds lie above this one's upper bound.
    faster = np.searchsorted(-speed[order, 0], -speed[:, 1], side="left")
    beaten = np.full(len(order), NONE, np.int64)
    for place, count in enumerate(faster.tolist()):
        if count and quality[surest[count - 1], 0] > quality[place, 1]:
            beaten[place] = surest[count - 1]
    for place, fastest in _find_fastest_alike(speed, alike).items():
        if beaten[place] == NONE and speed[fastest, 0] > speed[place, 1]:
            beaten[place] = fastest
    return beaten


def _find_fastest_alike(speed: Intervals, alike: Sequence[str]) -> dict[int, int]:
    """Of each point with a name the one of that name whose speed is surest to be high."""
    fastest: dict[str, int] = {}
    for place, name in enumerate(alike):
        if name and speed[place, 0] > speed[fastest.setdefault(name, place), 0]:
            fastest[name] = place
    return {place: fastest[name] for place, name in enumerate(alike) if name}


def find_ties(speed: Intervals, quality: Intervals, place: int, among: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the points `among` whose intervals touch this one's in speed and in quality."""
    near = np.ones(len(among), bool)
    for bounds in (speed, quality):
        near &= (bounds[among, 0] <= bounds[place, 1]) & (bounds[among, 1] >= bounds[place, 0])
    near &= among != place
    return np.asarray(among[near])
