"""What else the machine was doing while something was measured on it."""

import os
import warnings
from dataclasses import dataclass

import psutil

from seatrial.machine.environment import CPUFREQ, read_mhz
from seatrial.machine.nvidia import find_gpu

LEAST_PROCESSOR_S = 0.5
"""The kernel counts processor time in hundredths of a second: less than this cannot be measured."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What else the machine was doing when a measurement began."""

    busy: float
    """Share 0..1 of all processor time that somebody used."""
    swap_bytes: int
    """Memory that lay on disk."""
    on_battery: bool = False


def read_conditions(seconds: float = 1.0) -> Conditions:
    """Watch the machine for `seconds`; blocks that long.

    The load average would still count the compiling that ended just before, for minutes.
    """
    with warnings.catch_warnings():
        # A container may hide the counters of swapping; the size, which is read here, it does not.
        warnings.simplefilter("ignore", RuntimeWarning)
        swap = psutil.swap_memory().used
    # Only systems with batteries have the function.
    battery = getattr(psutil, "sensors_battery", lambda: None)()
    on_battery = battery is not None and battery.power_plugged is False
    return Conditions(psutil.cpu_percent(interval=seconds) / 100, swap, on_battery)


class OtherLoad:
    """What other processes used of the processors since it was made."""

    def __init__(self) -> None:
        self._begun = _read_processor_times()

    def read(self) -> float | None:
        """Share 0..1 of all processor time; None if too little has passed."""
        total, busy, own = (b - a for a, b in zip(self._begun, _read_processor_times(), strict=True))
        return None if total < LEAST_PROCESSOR_S else min(1.0, max(0.0, (busy - own) / total))


def _read_processor_times() -> tuple[float, float, float]:
    """Seconds since the system's start of all processors, of those that were busy, and of this process."""
    times, own = psutil.cpu_times(), os.times()
    # A guest's time is counted in its host's user time already.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total, total - times.idle - getattr(times, "iowait", 0.0), own.user + own.system


def read_clock(device: str) -> tuple[float, bool] | None:
    """MHz of the device now, and whether heat or power holds it back; None where the system does not report it."""
    gpu = find_gpu(device)
    if gpu is not None:
        return gpu.clock()
    if device != "cpu":
        return None
    clocks = [read_mhz(path) for path in sorted(CPUFREQ.parent.parent.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))]
    known = [clock for clock in clocks if clock is not None]
    return (sum(known) / len(known), False) if known else None
