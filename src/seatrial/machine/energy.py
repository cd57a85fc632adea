"""Energy as the machine's own meters count it: RAPL of the processors, NVML of a GPU, power of an NPU by npu-smi.

Meters are read at the start and at the end of what is measured, never within it.
"""

import re
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.machine.ascend import read_chip
from seatrial.machine.nvidia import find_gpu
from seatrial.store.measurement import Energy, EnergyScope

POWERCAP = Path("/sys/class/powercap")
"""Where Linux has the counters of Intel's and AMD's processors (Documentation/power/powercap)."""
LEAST_S = 1.0
"""Counters move in steps of up to a tenth of a second: work shorter than this is not measured."""
MOST_W = 1000.0
"""No package draws more; a span in which one that did might have wrapped its counter around twice is not measured."""
POWER_READINGS = 3
_PACKAGE = re.compile(r"intel-rapl:\d+")
"""AMD's processors have that name too; further numbers are of parts of a package."""


@dataclass(frozen=True, slots=True)
class ProcessorPackage:
    """The counter of one processor package."""

    counter: Path
    range_j: float
    """Where it begins again at 0."""

    def read_joules(self) -> float | None:
        """The counter; None where only root may read it."""
        microjoules = _read_number(self.counter)
        return None if microjoules is None else microjoules / 1e6

    def subtract(self, before: float, after: float, seconds: float) -> float | None:
        """Joules between two readings; None where the counter may have wrapped around twice."""
        if seconds * MOST_W > self.range_j:
            return None
        return after - before if after >= before else after - before + self.range_j


def list_packages(root: Path = POWERCAP) -> tuple[ProcessorPackage, ...]:
    """The processor packages whose energy is counted; none where the system shows none, as on most virtual machines."""
    found = []
    for folder in sorted(root.glob("intel-rapl:*")):
        microjoules = _read_number(folder / "max_energy_range_uj")
        # `psys` is the whole platform: it has the packages in it.
        if _PACKAGE.fullmatch(folder.name) and microjoules and _read_line(folder / "name").startswith("package"):
            found.append(ProcessorPackage(folder / "energy_uj", microjoules / 1e6))
    return tuple(found)


def _read_number(path: Path) -> float | None:
    line = _read_line(path)
    return float(line) if line.isdecimal() else None


def _read_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


@dataclass(frozen=True, slots=True)
class _Reading:
    """All counters at one moment; of those that cannot be read, None."""

    at_s: float
    packages: tuple[float | None, ...]
    board: float | None


class EnergyMeter:
    """The counters of the processors, and of the GPU where the device is one, around a span."""

    def __init__(
        self,
        device: str,
        clock: Callable[[], float] = time.perf_counter,
        packages: Sequence[ProcessorPackage] | None = None,
    ) -> None:
        self._packages = list_packages() if packages is None else tuple(packages)
        self._gpu, self._clock = find_gpu(device), clock
        self._began: _Reading | None = None
        self._ended: _Reading | None = None
        self._runs = 0

    def start(self) -> None:
        """Read all counters; the span begins."""
        self._began = self._read()

    def stop(self, runs: int) -> None:
        """Read all counters; in the span there were so many runs."""
        self._ended, self._runs = self._read(), runs

    @property
    def seconds(self) -> float:
        """Of the span; 0 before its end."""
        return 0.0 if self._began is None or self._ended is None else self._ended.at_s - self._began.at_s

    def read(self, batch_size: int, watts: Sequence[float] = ()) -> tuple[Energy, ...]:
        """What each meter counted in the span.

        Args:
            batch_size: images of a run.
            watts: readings of an NPU's power under the same load.
        """
        began, ended, images = self._began, self._ended, self._runs * batch_size
        if began is None or ended is None or self.seconds < LEAST_S or not images:
            return ()
        joules: dict[EnergyScope, float | None] = {
            "CPU packages": self._add_packages(began, ended),
            "GPU board": None if began.board is None or ended.board is None else ended.board - began.board,
            "NPU card": statistics.fmean(watts) * self.seconds if watts else None,
        }
        return tuple(
            Energy(scope=scope, joules=used, seconds=self.seconds, images=images, counted=scope != "NPU card")
            for scope, used in joules.items()
            # Some virtual machines show counters that stand still.
            if used is not None and used > 0
        )

    def _read(self) -> _Reading:
        board = None if self._gpu is None else self._gpu.read_joules()
        return _Reading(self._clock(), tuple(package.read_joules() for package in self._packages), board)

    def _add_packages(self, began: _Reading, ended: _Reading) -> float | None:
        """Of all packages together; None unless each of them is known."""
        parts = [
            None if before is None or after is None else package.subtract(before, after, self.seconds)
            for package, before, after in zip(self._packages, began.packages, ended.packages, strict=True)
        ]
        known = [part for part in parts if part is not None]
        return sum(known) if parts and len(known) == len(parts) else None


def watch_power(device: str, keep_running: Callable[[Callable[[], bool]], None]) -> list[float]:
    """Watts of an NPU under a load, by some readings; none on other devices.

    npu-smi takes about as long as many runs, so it is run after the measurement, while the same work goes on.

    Args:
        keep_running: does the work until the function that it is given is true.
    """
    if not device.startswith("npu") or _read_watts(device) is None:
        return []
    readings: list[float | None] = []
    done = threading.Event()

    def watch() -> None:
        try:
            readings.extend(_read_watts(device) for _ in range(POWER_READINGS))
        finally:
            done.set()

    watcher = threading.Thread(target=watch, name="power")
    watcher.start()
    try:
        keep_running(done.is_set)
    finally:
        watcher.join()
    return [watts for watts in readings if watts is not None]


def _read_watts(device: str) -> float | None:
    chip = read_chip(device)
    return None if chip is None else chip.power_w
