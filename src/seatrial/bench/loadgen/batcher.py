"""Dynamic batching: samples that wait are processed together, by several threads."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any


class Batcher:
    """Hands samples to `process`, at most `batch_size` at once, from `streams` threads.

    A batch that is not full goes out when its oldest sample has waited for `wait_s`; with 0 a free thread takes what
    is there.
    """

    def __init__(self, process: Callable[[list[Any]], object], batch_size: int, streams: int, wait_s: float) -> None:
        self._process = process
        self._batch_size = batch_size
        self._wait_s = wait_s
        self._waiting: deque[tuple[Any, float]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(streams)]
        for thread in self._threads:
            thread.start()

    def put(self, samples: Sequence[Any]) -> None:
        """Queue samples; returns at once."""
        now = time.perf_counter()
        with self._changed:
            self._waiting.extend((sample, now) for sample in samples)
            self._changed.notify()

    def close(self) -> None:
        """Process what waits, then let the threads end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while taken := self._take():
            self._process(taken)

    def _take(self) -> list[Any]:
        """The next batch; blocks until there is one, and is empty when there will be none."""
        with self._changed:
            while (wait_s := self._time_to_wait()) is None or wait_s > 0:
                self._changed.wait(wait_s)
            count = min(self._batch_size, len(self._waiting))
            taken = [self._waiting.popleft()[0] for _ in range(count)]
            if self._waiting:
                self._changed.notify()
            return taken

    def _time_to_wait(self) -> float | None:
        """Seconds until a batch must go out, at most 0 if it is time; None while nothing waits."""
        if self._closed or len(self._waiting) >= self._batch_size:
            return 0
        if not self._waiting:
            return None
        return self._waiting[0][1] + self._wait_s - time.perf_counter()
