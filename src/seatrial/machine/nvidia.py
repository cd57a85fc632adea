"""NVIDIA GPUs as their driver's own library describes them, without any SDK: names, memory, clocks."""

import ctypes
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import pynvml

from seatrial.store.measurement import Accelerator, DeviceProcess

_HELD_BACK = 0x4 | 0x8 | 0x20 | 0x40 | 0x80
"""Reasons of a lower clock that are heat or power: software power cap, hardware slowdown, software and hardware thermal
slowdown, power brake (nvml.h, nvmlClocksEventReason…)."""


class Gpu:
    """One GPU; what the driver does not report is None."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def describe(self) -> Accelerator:
        """Name, driver, memory, clock and power limit."""
        memory, power_mw = self._read("MemoryInfo"), self._read("PowerManagementLimit")
        driver = None
        with suppress(pynvml.NVMLError):
            driver = pynvml.nvmlSystemGetDriverVersion()
        return Accelerator(
            name=self._read("Name") or "NVIDIA GPU",
            driver=driver,
            memory_bytes=None if memory is None else memory.total,
            clock_mhz=self._read("MaxClockInfo", pynvml.NVML_CLOCK_SM),
            power_limit_w=None if power_mw is None else power_mw / 1000,
        )

    def used_bytes(self) -> int | None:
        """Memory in use by all processes together."""
        memory = self._read("MemoryInfo")
        return None if memory is None else int(memory.used)

    def clock(self) -> tuple[float, bool] | None:
        """MHz now, and whether heat or power holds it back."""
        clock = self._read("ClockInfo", pynvml.NVML_CLOCK_SM)
        reasons = self._read("CurrentClocksThrottleReasons")
        return None if clock is None else (clock, bool((reasons or 0) & _HELD_BACK))

    def read_busy(self) -> float | None:
        """Share 0..1 of the last moment (a sixth of a second to a whole one) in which some kernel ran."""
        rates = self._read("UtilizationRates")
        return None if rates is None else rates.gpu / 100

    def read_joules(self) -> float | None:
        """Energy of the whole board since the driver was loaded."""
        millijoules = self._read("TotalEnergyConsumption")
        return None if millijoules is None else millijoules / 1000

    def list_processes(self) -> tuple[DeviceProcess, ...]:
        """Those that compute on it; their numbers are the host's."""
        # Where one process has several contexts it is listed several times.
        found = {process.pid: process.usedGpuMemory for process in self._read("ComputeRunningProcesses") or ()}
        return tuple(DeviceProcess(pid=pid, memory_bytes=used) for pid, used in sorted(found.items()))

    def _read(self, name: str, *arguments: int) -> Any:
        # Drivers add functions, and drop old ones; a GPU need not support them all.
        with suppress(pynvml.NVMLError):
            return getattr(pynvml, f"nvmlDeviceGet{name}")(self._handle, *arguments)
        return None


@cache
def list_gpus() -> tuple[Gpu, ...]:
    """The GPUs that this process may use, in the order in which CUDA counts them; none without a driver."""
    try:
        pynvml.nvmlInit()
        names = list_visible(pynvml.nvmlDeviceGetCount(), os.environ)
    except pynvml.NVMLError:
        return ()
    handles = []
    for name in names:
        by = pynvml.nvmlDeviceGetHandleByUUID if isinstance(name, str) else pynvml.nvmlDeviceGetHandleByIndex
        with suppress(pynvml.NVMLError):
            handles.append(by(name))
    return tuple(map(Gpu, handles))


def list_visible(count: int, environment: Mapping[str, str]) -> list[int | str]:
    """Numbers or UUIDs of the GPUs that CUDA_VISIBLE_DEVICES leaves; the list ends at the first that is none."""
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return list(range(count))
    visible: list[int | str] = []
    for word in (word.strip() for word in listed.split(",")):
        if word.isdecimal() and int(word) < count:
            visible.append(int(word))
        elif word.startswith("GPU-"):
            visible.append(word)
        else:
            break
    return visible


def find_gpu(device: str) -> Gpu | None:
    """The GPU that `cuda:N` or `tensorrt:N` names, if it is one that the driver knows."""
    kind, _, number = device.partition(":")
    gpus = list_gpus() if kind in ("cuda", "tensorrt") else ()
    place = int(number) if number.isdecimal() else 0
    return gpus[place] if place < len(gpus) else None


@cache
def count_gpus() -> int:
    """How many GPUs this process may use (CUDA_VISIBLE_DEVICES is respected); 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int()
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0
