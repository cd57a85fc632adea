"""What threads borrow is nobody else's meanwhile, and comes back whatever happens."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from seatrial.closing import Pool


def test_no_two_threads_have_the_same_at_a_time() -> None:
    pool: Pool[list[int]] = Pool()
    for _ in range(2):
        pool.put([])

    def use(number: int) -> int:
        with pool.borrow() as item:
            item.append(number)
            return item.pop()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(use, range(100))) == list(range(100))
    assert pool.qsize() == 2


def test_what_was_borrowed_comes_back_after_an_error() -> None:
    pool: Pool[str] = Pool()
    pool.put("context")
    with pytest.raises(ValueError, match="refused"), pool.borrow():
        raise ValueError("refused")
    with pool.borrow() as item:
        assert item == "context"
