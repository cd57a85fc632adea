import numpy as np
import pytest

from seatrial.data.fast_hash import hash_prepared


def test_it_is_a_sum_of_words_times_odd_numbers_of_their_places() -> None:
    """Stored hashes must hold for ever: the first factors of splitmix64, made odd, are written out here."""
    mask = 2**64 - 1

    def factor(place: int) -> int:
        z = place * 0x9E3779B97F4A7C15 & mask
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        return (z ^ z >> 31) | 1

    # The first number that Vigna's splitmix64.c (prng.di.unimi.it) gives for a state of 0.
    assert factor(1) == 0xE220A8397B1DCDAF
    data = bytes(range(20))
    first, second, rest = (int.from_bytes(data[i : i + 8], "little") for i in (0, 8, 16))
    total = first * factor(1) + second * factor(2) + (first >> 32) * factor(3) + (second >> 32) * factor(4)
    assert hash_prepared(data) == (total + rest * 0x9E3779B97F4A7C15 + 20) & mask
    assert hash_prepared(b"") == 0 and hash_prepared(b"\0") == 1


@pytest.mark.parametrize("size", [1, 7, 8, 9, 300])
def test_any_changed_byte_changes_it(size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    seen = {hash_prepared(data.data)}
    for place in range(size):
        for bit in range(8):
            changed = data.copy()
            changed[place] ^= 1 << bit
            seen.add(hash_prepared(changed.data))
    assert len(seen) == 8 * size + 1


def test_two_changed_bits_do_not_cancel() -> None:
    """Modulo 2**64 the highest bits of two words times odd numbers would: a negated number in each of them."""
    data = np.random.default_rng(1).standard_normal((3, 4, 6)).astype(np.float32)
    seen = {hash_prepared(data.data)}
    for first in range(data.size):
        for second in range(first):
            changed = data.copy()
            changed.reshape(-1)[[first, second]] *= -1
            seen.add(hash_prepared(changed.data))
    assert len(seen) == data.size * (data.size - 1) // 2 + 1


def test_places_and_length_count() -> None:
    data = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    assert hash_prepared(data.data) == hash_prepared(data.tobytes()) != hash_prepared(data[::-1].tobytes())
    assert hash_prepared(bytes(8)) != hash_prepared(bytes(16)) != hash_prepared(bytes(9))
