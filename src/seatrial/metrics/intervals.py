"""How sure a fraction of a set is."""

import math

CONFIDENCE = 0.95
"""Of one-sided bounds in gates and of two-sided intervals in tables."""


def wilson_interval(hits: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's two-sided score interval of a fraction (Wilson 1927; Newcombe 1998a, method 3)."""
    # Here, as every command reads cards, which know this file, and few need an interval.
    from scipy.special import ndtri

    if count == 0:
        return 0.0, 1.0
    z = float(ndtri(0.5 + confidence / 2))
    share = hits / count
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    low = 0.0 if hits == 0 else (centre - spread) / scale
    high = 1.0 if hits == count else (centre + spread) / scale
    return low, high


def exact_bounds(hits: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """One-sided bounds of a fraction, each at `confidence` (Clopper and Pearson 1934): never too narrow."""
    from scipy.special import betaincinv

    low = float(betaincinv(hits, count - hits + 1, 1 - confidence)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, confidence)) if hits < count else 1.0
    return low, high
