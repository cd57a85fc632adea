"""Cores are booked by processes, so each test has its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BOOK = """
import os, sys, threading
from pathlib import Path
from seatrial.cluster.pin_cores import take_cores
there = threading.Event()
thread = threading.Thread(target=there.wait)
thread.start()
held = take_cores(int(sys.argv[1]), Path(sys.argv[2]))
cores = {tuple(sorted(os.sched_getaffinity(int(task)))) for task in os.listdir("/proc/self/task")}
there.set()
print(len(held), *cores, flush=True)
sys.stdin.read()
"""
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


class Booking:
    """A process that holds cores until it is told to end."""

    def __init__(self, count: int, folder: Path) -> None:
        words = [sys.executable, "-c", BOOK, str(count), str(folder)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.told = self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.communicate()


@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
def test_processes_share_no_core_until_there_are_too_few(tmp_path: Path) -> None:
    bookings = [Booking(1, tmp_path) for _ in range(len(CORES) + 1)]
    assert [booking.told for booking in bookings[:-1]] == [f"1 ({core},)" for core in CORES]
    assert bookings[-1].told == f"0 {tuple(CORES)}"
    bookings[0].end()
    again = Booking(1, tmp_path)
    assert again.told == f"1 ({CORES[0]},)"
    for booking in (*bookings[1:], again):
        booking.end()


@pytest.mark.skipif(not CORES, reason="the system binds no process to cores")
def test_who_wants_all_cores_books_none(tmp_path: Path) -> None:
    booking = Booking(len(CORES), tmp_path)
    assert booking.told == f"0 {tuple(CORES)}"
    booking.end()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
def test_a_folder_of_another_user_books_nothing(tmp_path: Path) -> None:
    booking = Booking(1, tmp_path / "not there")
    assert booking.told == f"0 {tuple(CORES)}"
    booking.end()
