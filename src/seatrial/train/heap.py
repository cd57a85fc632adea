"""The C library's heap while a CPU trains: what a step frees stays for the next one.

glibc gives every tensor of some megabytes a mapping of its own and the end of its heap back to the system; the next
step then faults the same pages in again, one by one and zeroed. At 224 px that is a sixth of ResNet-50's step.
"""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
"""Parameters of mallopt(3)."""
NEVER = -1
MAPPED_BYTES, TRIMMED_BYTES, MAPPINGS = 32 * 2**20, 64 * 2**20, 65_536
"""What glibc's own thresholds grow to where large tensors come and go; they no longer do once one was set."""


@contextmanager
def kept_heap() -> Iterator[None]:
    """Keep freed memory while the block runs, and give it back after; elsewhere than on glibc nothing changes."""
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    library.mallopt(M_MMAP_MAX, 0)
    library.mallopt(M_TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        library.mallopt(M_MMAP_MAX, MAPPINGS)
        library.mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, TRIMMED_BYTES)
        library.malloc_trim(0)
