"""What is freed is kept for the next batch, and given back at the end."""

import json
import platform
import subprocess
import sys

import pytest

from seatrial.machine.allocator import kept_heap

COUNT = """
import ctypes, json, resource
from seatrial.machine.allocator import kept_heap

PR_SET_THP_DISABLE, MEBIBYTES = 41, 40
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)

def count():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        b"x" * (MEBIBYTES * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

found = [count()]
with kept_heap():
    with kept_heap():
        found.append(count())
    found.append(count())
found.append(count())
print(json.dumps([faults * resource.getpagesize() / 2**20 / MEBIBYTES for faults in found]))
"""
"""Prints how often four pieces of memory, each freed before the next, were taken from the system: usually, kept, kept
once the inner of two has ended, and after both."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_memory_is_taken_again_without_faults() -> None:
    ran = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    usual, kept, still_kept, after = json.loads(ran.stdout)
    assert usual >= 4 and after >= 4
    assert kept < 2 and still_kept < 1


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr("ctypes.CDLL", None)
    with kept_heap():
        pass
