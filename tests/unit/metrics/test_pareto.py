import numpy as np
import pytest

from seatrial.metrics.pareto import NONE, Intervals, find_beaten, find_ties


def near(*pairs: tuple[float, float]) -> Intervals:
    return np.array(pairs, dtype=np.float64)


def test_a_point_is_off_the_front_only_if_another_is_certainly_better_in_both() -> None:
    speed = near((10, 12), (20, 22), (20, 22), (5, 6))
    quality = near((0.70, 0.72), (0.80, 0.82), (0.71, 0.73), (0.90, 0.92))
    # The second beats the first in both; it beats the third in quality alone, whose speed is its own.
    assert find_beaten(speed, quality).tolist() == [1, NONE, NONE, NONE]


def test_intervals_that_touch_settle_nothing() -> None:
    assert find_beaten(near((10, 20), (20, 30)), near((0.1, 0.2), (0.3, 0.4))).tolist() == [NONE, NONE]
    assert find_beaten(near((10, 19), (20, 30)), near((0.1, 0.3), (0.3, 0.4))).tolist() == [NONE, NONE]
    assert find_beaten(near((10, 19), (20, 30)), near((0.1, 0.29), (0.3, 0.4))).tolist() == [1, NONE]


def test_of_equal_first_classes_the_certainly_faster_one_wins() -> None:
    speed, quality = near((10, 12), (20, 22), (21, 30), (11, 12)), np.tile([0.7, 0.8], (4, 1))
    assert find_beaten(speed, quality, ["a", "a", "a", "b"]).tolist() == [2, NONE, NONE, NONE]
    assert find_beaten(speed, quality, ["", "", "", ""]).tolist() == [NONE] * 4


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_comparing_every_pair_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    speed, quality = (np.sort(rng.integers(0, 30, (25, 2)).astype(float), axis=1) for _ in range(2))
    alike = [str(n) if n else "" for n in rng.integers(0, 4, 25)]
    beaten = find_beaten(speed, quality, alike)

    def beats(a: int, b: int) -> bool:
        same = bool(alike[a]) and alike[a] == alike[b]
        return bool(speed[a, 0] > speed[b, 1] and (same or quality[a, 0] > quality[b, 1]))

    for b in range(25):
        assert (beaten[b] == NONE) is not any(beats(a, b) for a in range(25))
        assert beaten[b] == NONE or beats(int(beaten[b]), b)


def test_ties_touch_in_both() -> None:
    speed, quality = near((1, 3), (2, 4), (3, 5), (9, 9)), near((1, 2), (2, 3), (3, 4), (1, 9))
    assert find_ties(speed, quality, 0, np.arange(4)).tolist() == [1]
    assert find_ties(speed, quality, 1, np.array([1, 2, 3])).tolist() == [2]
