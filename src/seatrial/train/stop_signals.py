"""Ctrl-C and SIGTERM, noticed at once and obeyed at the end of a step."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

GRACE_S = 20
"""How long a step may take to end after a signal; then it is given up, and the last snapshot stands."""
ECHO_S = 1.0
"""A terminal's Ctrl-C reaches every process, and torch's launcher sends it again: the second is no second wish."""


class Stop:
    """Whether somebody wants the training to end; true once asked."""

    def __init__(self) -> None:
        self.asked = False
        self._at = 0.0
        self._before: dict[int, Any] = {}

    def ask(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Handle a signal: the first is noted; a later one, or time that ran out, goes on to the former handler."""
        now = time.monotonic()
        if not self.asked:
            self.asked, self._at = True, now
            signal.alarm(GRACE_S)
        elif number == signal.SIGALRM or now - self._at > ECHO_S:
            self.give_back()
            former = self._before.get(signal.SIGTERM if number == signal.SIGALRM else number)
            if callable(former):
                former(number, frame)
            raise KeyboardInterrupt

    def take(self) -> None:
        """Handle the signals from here on."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            self._before[number] = signal.signal(number, self.ask)

    def give_back(self) -> None:
        """Let the former handlers do it again."""
        signal.alarm(0)
        for number, handler in self._before.items():
            signal.signal(number, handler)


@contextmanager
def noticing_signals() -> Iterator[Stop]:
    """Note SIGINT and SIGTERM in the block instead of being interrupted; only a main thread can."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    stop.take()
    try:
        yield stop
    finally:
        stop.give_back()
