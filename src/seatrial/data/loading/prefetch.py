"""Loading ahead of use: in threads, in order, never more than a few at a time."""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


def load_ahead(
    items: Iterable[Item], load: Callable[[Item], Loaded], threads: int, ahead: int | None = None
) -> Generator[Loaded]:
    """What `load` makes of each of `items`, in order.

    At most `ahead` results exist beside the one that was given out, one more than there are workers unless said.
    What `load` raises is raised where its result would have come. Whoever stops early closes it.
    """
    waiting: deque[Future[Loaded]] = deque()
    upcoming = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="load") as pool:
        try:
            for item in itertools.islice(upcoming, ahead or threads + 1):
                waiting.append(pool.submit(load, item))
            while waiting:
                loaded = waiting.popleft().result()
                waiting.extend(pool.submit(load, item) for item in itertools.islice(upcoming, 1))
                yield loaded
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
