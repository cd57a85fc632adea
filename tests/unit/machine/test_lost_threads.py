"""Threads that die while the main thread waits for them."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from seatrial.machine.lost_threads import raising_lost_threads


@pytest.fixture(autouse=True)
def _python_handles_ctrl_c() -> Iterator[None]:
    """As in a process of its own: a command that ran in this one has left a handler that soon ends it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def wait_for(error: Exception) -> None:
    """Wait for a result that a thread was to bring, which dies of an error."""
    future: Future[None] = Future()

    def die() -> None:
        raise error

    threading.Thread(target=die).start()
    future.result(timeout=20)


def test_the_main_thread_gets_the_error_that_it_would_wait_for() -> None:
    before = threading.excepthook
    with pytest.raises(RuntimeError, match="can't start new thread"), raising_lost_threads():
        wait_for(RuntimeError("can't start new thread"))
    assert threading.excepthook is before


def test_other_errors_of_a_thread_are_reported_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    with raising_lost_threads():
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
    assert [args.exc_type for args in reported] == [ZeroDivisionError]


def test_ctrl_c_stays_ctrl_c() -> None:
    with pytest.raises(KeyboardInterrupt), raising_lost_threads():
        raise KeyboardInterrupt
