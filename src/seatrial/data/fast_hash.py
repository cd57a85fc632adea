"""A hash of preprocessed images that costs a tenth of their sha256: they are five times as large as their files."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_MODULUS = 1 << 64


def hash_prepared(data: bytes | memoryview) -> int:
    """64 bits that identify the bytes of a preprocessed image; contiguous, any length.

    The sum of its 64-bit words, each times an odd number of its place, modulo 2**64: a multilinear hash with fixed
    factors (after Carter and Wegman 1979). A change of one word gives another sum, and of several almost certainly. It
    notices what was replaced or damaged, but hides nothing from somebody who searches for a collision.
    """
    flat = np.frombuffer(data, np.uint8)
    words = len(flat) // 8
    total = int(np.dot(flat[: 8 * words].view("<u8"), _make_factors(words))) if words else 0
    rest = int.from_bytes(flat[8 * words :].tobytes(), "little")
    return (total + rest * int(_make_factors(words + 1)[-1]) + len(flat)) % _MODULUS


@lru_cache(maxsize=16)
def _make_factors(count: int) -> NDArray[np.uint64]:
    """Odd numbers that look random: splitmix64 (Steele, Lea and Flood 2014) of 1, 2, … `count`."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) | np.uint64(1)
