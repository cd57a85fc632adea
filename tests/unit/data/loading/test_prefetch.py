import threading

import pytest

from seatrial.data.loading.prefetch import load_ahead


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order(threads: int) -> None:
    assert list(load_ahead(range(20), lambda n: n * n, threads)) == [n * n for n in range(20)]
    assert list(load_ahead([], lambda n: n, threads)) == []


def test_few_are_held_whatever_there_is_to_load() -> None:
    begun = 0
    lock = threading.Lock()

    def load(number: int) -> int:
        nonlocal begun
        with lock:
            begun += 1
        return number

    for number in load_ahead(range(1000), load, threads=2):
        with lock:
            assert begun <= number + 1 + 3, "three beside the one that was given out"
    assert begun == 1000


def test_an_error_comes_in_its_place_and_ends_the_rest() -> None:
    asked: list[int] = []

    def load(number: int) -> int:
        asked.append(number)
        if number == 4:
            raise ZeroDivisionError
        return number

    given = []
    with pytest.raises(ZeroDivisionError):
        for number in load_ahead(range(1000), load, threads=2):
            given.append(number)
    assert given == [0, 1, 2, 3]
    assert len(asked) <= 4 + 1 + 3


def test_whoever_stops_early_leaves_no_threads() -> None:
    before = threading.active_count()
    loaded = load_ahead(range(1000), lambda n: n, threads=2)
    assert next(loaded) == 0
    loaded.close()
    assert threading.active_count() == before
