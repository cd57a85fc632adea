"""What is freed is kept for the next batch, and given back at the end."""

import platform
import resource

import pytest

from seatrial.engines.heap import kept_heap

MEBIBYTES = 40
"""More than glibc's own thresholds ever keep."""


def count_faults() -> int:
    """Pages that four pieces of memory take from the system, each freed before the next."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        b"x" * (MEBIBYTES * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_memory_is_taken_again_without_faults() -> None:
    pages = MEBIBYTES * 2**20 // resource.getpagesize()
    assert count_faults() >= 4 * pages
    with kept_heap():
        with kept_heap():
            assert count_faults() < 2 * pages
        assert count_faults() < pages
    assert count_faults() >= 4 * pages


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr("ctypes.CDLL", None)
    with kept_heap():
        pass
