"""The C library's heap while torch computes on a CPU or images are decoded: what one step frees stays for the next.

glibc gives large tensors a mapping of their own, and the end of its heap back to the system; the next step then faults
the same pages in again, one by one and zeroed: for an image of 500×375 that takes as long as decoding it. What it does
depends on what was freed before. `benchmarks/train_steps.py` and `benchmarks/preprocess.py` measure it. Of tensors only
what the main thread allocates is kept so: other threads' heaps are too small for them, but not for images.
"""

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
"""Parameters of mallopt(3)."""
KEPT = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1}
USUAL = {M_MMAP_MAX: 65_536, M_MMAP_THRESHOLD: 32 * 2**20, M_TRIM_THRESHOLD: 64 * 2**20}
"""glibc's own; the two thresholds as they grow to be where large tensors come and go, which ends once one was set."""

_lock = threading.Lock()
_holders = 0


@contextmanager
def kept_heap() -> Iterator[None]:
    """Keep freed memory while the block runs, and give it back after the last; with glibc only."""
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    _hold(1)
    try:
        yield
    finally:
        _hold(-1)


def _hold(change: int) -> None:
    global _holders
    library = ctypes.CDLL(None)
    with _lock:
        before, _holders = _holders, _holders + change
        if before == 0 or _holders == 0:
            for parameter, value in (KEPT if _holders else USUAL).items():
                library.mallopt(parameter, value)
        if _holders == 0:
            library.malloc_trim(0)
