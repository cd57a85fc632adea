import os
import signal
import threading
import time

import pytest

from seatrial.train import stop_signals
from seatrial.train.stop_signals import catch_stop_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_nothing_is_interrupted(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with catch_stop_signals() as signals:
        assert not signals.received
        os.kill(os.getpid(), number)
        # The launcher's echo of the same.
        os.kill(os.getpid(), number)
        assert signals.received
    assert signal.getsignal(number) == before and signal.alarm(0) == 0


def test_a_second_signal_is_obeyed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with catch_stop_signals() as signals:
        signals.handle(signal.SIGINT)
        now[0] += stop_signals.ECHO_S * 2
        with pytest.raises(KeyboardInterrupt):
            signals.handle(signal.SIGINT)


def test_a_step_that_does_not_end_is_given_up_as_the_former_handler_does() -> None:
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with catch_stop_signals() as signals:
            signals.handle(signal.SIGINT)
            assert signal.alarm(0) > 0
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGALRM)
        assert seen == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_thread_that_gets_no_signals_trains_without_noticing() -> None:
    found = []

    def work() -> None:
        with catch_stop_signals() as signals:
            found.append(signals.received)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
