"""Ctrl-C and SIGTERM, noted at once and obeyed at the end of a step."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

GRACE_S = 20
"""How long a step may take to end after a signal; then it is aborted, and the last snapshot is what is left."""
ECHO_S = 1.0
"""A terminal's Ctrl-C reaches every process, and torch's launcher sends it again: within this time it counts once."""


class StopSignals:
    """Handles SIGINT and SIGTERM while it is installed."""

    def __init__(self) -> None:
        self.received = False
        self._at = 0.0
        self._former: dict[int, Any] = {}

    def handle(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Note the first signal; a later one, or the end of the grace time, goes to the former handler."""
        now = time.monotonic()
        if not self.received:
            self.received, self._at = True, now
            signal.alarm(GRACE_S)
        elif number == signal.SIGALRM or now - self._at > ECHO_S:
            self.restore()
            former = self._former.get(signal.SIGTERM if number == signal.SIGALRM else number)
            if callable(former):
                former(number, frame)
            raise KeyboardInterrupt

    def install(self) -> None:
        """Handle the signals from here on."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            self._former[number] = signal.signal(number, self.handle)

    def restore(self) -> None:
        """Restore the former handlers."""
        signal.alarm(0)
        for number, handler in self._former.items():
            signal.signal(number, handler)


@contextmanager
def catch_stop_signals() -> Iterator[StopSignals]:
    """Note SIGINT and SIGTERM in the block instead of being interrupted; only a main thread can."""
    signals = StopSignals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    signals.install()
    try:
        yield signals
    finally:
        signals.restore()
