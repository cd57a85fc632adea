"""How sure a fraction of a set is."""

import math

CONFIDENCE = 0.95
"""Of one-sided bounds in gates and of two-sided intervals in tables."""

MOST_IMAGES = 10**9
"""Sets larger than this are nobody's."""


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


def exact_bounds(hits: float, count: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """One-sided bounds of a fraction, each at `confidence` (Clopper and Pearson 1934): never too narrow."""
    from scipy.special import betaincinv

    low = float(betaincinv(hits, count - hits + 1, 1 - confidence)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, confidence)) if hits < count else 1.0
    return low, high


def images_to_part(hits: int, count: int, limit: float, confidence: float = CONFIDENCE) -> int | None:
    """How many more images part a fraction from a limit: until an exact bound is past it, while the fraction stays.

    Returns:
        0 where one is past it already; None where the fraction is the limit, or a billion images would not do.
    """
    share = hits / count
    side = 0 if share > limit else 1

    def parts(images: float) -> bool:
        bound = exact_bounds(share * images, images, confidence)[side]
        return bound > limit if side == 0 else bound < limit

    few, many = 0, count
    while not parts(many):
        if many >= MOST_IMAGES or share == limit:
            return None
        few, many = many, 2 * many
    while few and many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if parts(middle) else (middle, many)
    return many - count
