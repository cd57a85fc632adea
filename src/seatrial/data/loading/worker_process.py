"""What every process does that works for this one."""

import multiprocessing
import os
import signal
import threading
from contextlib import ExitStack
from multiprocessing.process import BaseProcess

from seatrial.machine.allocator import kept_heap

_heap = ExitStack()
"""Open as long as the process lives."""


def start_process() -> None:
    """Leave Ctrl-C to the parent, end with it even when it is killed, and keep memory from one image for the next."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _heap.enter_context(kept_heap())
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
