"""A thread that memory ran out for leaves the main thread waiting for its work forever; here it does not."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from seatrial.machine.out_of_memory import is_out_of_memory


@contextlib.contextmanager
def raising_lost_threads() -> Iterator[None]:
    """Raise in the main thread, whose block this is, what ended another thread because memory ran out.

    That a thread cannot be started is such an error. `concurrent.futures` waits for the results of processes whose
    manager thread has died of it. Other errors of threads are reported as without this block.
    """
    lost: list[BaseException] = []
    report = threading.excepthook

    def interrupt(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is None or not is_out_of_memory(args.exc_value):
            report(args)
            return
        lost.append(args.exc_value)
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, signal.SIGINT)

    threading.excepthook = interrupt
    try:
        yield
    except KeyboardInterrupt:
        if not lost:
            raise
    finally:
        threading.excepthook = report
    if lost:
        raise lost[0]
