"""The processor time that the tests of one file may take, so that the suite stays as fast as it is.

`make test` sets SEATRIAL_TEST_FILE_CPU_S. Processor time, and several times what the slowest file takes: a busy machine
makes it longer too, and a budget that fails at random is soon ignored.
"""

import os
from multiprocessing import forkserver
from pathlib import Path

import psutil

VARIABLE = "SEATRIAL_TEST_FILE_CPU_S"


class FileBudget:
    """Counts file by file; under xdist's loadfile each file has one process."""

    def __init__(self, budget_s: float) -> None:
        self._budget_s = budget_s
        self._file: Path | None = None
        self._began_s = 0.0

    def begin(self, file: Path) -> None:
        """Note that a test of `file` begins."""
        if file != self._file:
            self._file, self._began_s = file, read_cpu_s()

    def find_excess(self) -> str | None:
        """What is wrong with the file whose test just ended, if it took too long."""
        took_s = read_cpu_s() - self._began_s
        if took_s <= self._budget_s:
            return None
        self._file = None  # Said once for a file, not after each of its further tests.
        return f"its file took {took_s:.0f} s of processor time, {VARIABLE} allows {self._budget_s:g}"


def read_budget() -> FileBudget | None:
    """The budget that is set."""
    text = os.environ.get(VARIABLE)
    return FileBudget(float(text)) if text else None


def read_cpu_s() -> float:
    """Of this process, its children that have ended, and what was forked for it."""
    forking = getattr(forkserver._forkserver, "_forkserver_pid", None)  # type: ignore[attr-defined]
    processes = [psutil.Process(), *([psutil.Process(forking)] if forking else [])]
    return sum(sum(process.cpu_times()[:4]) for process in processes)
