"""NVIDIA GPUs as their driver's own library tells, without any SDK: names, memory, clocks."""

import ctypes
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from seatrial.store.measurement import Accelerator

LIBRARY = "libnvidia-ml.so.1"
_SM_CLOCK = 1
_HELD_BACK = 0x4 | 0x8 | 0x20 | 0x40 | 0x80
"""Reasons of a lower clock that are heat or power: software power cap, hardware slowdown, software and hardware thermal
slowdown, power brake (nvml.h, nvmlClocksEventReason…)."""


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class Gpu:
    """One GPU; what the driver does not tell is None."""

    def __init__(self, library: Any, handle: ctypes.c_void_p) -> None:
        self._library, self._handle = library, handle

    def describe(self) -> Accelerator:
        """What it is."""
        memory, power_mw = self._read_memory(), self._read(ctypes.c_uint, "PowerManagementLimit")
        clock = self._read(ctypes.c_uint, "MaxClockInfo", _SM_CLOCK)
        return Accelerator(
            name=self._read_text("nvmlDeviceGetName", self._handle) or "NVIDIA GPU",
            driver=self._read_text("nvmlSystemGetDriverVersion"),
            memory_bytes=None if memory is None else memory.total,
            clock_mhz=None if clock is None else clock.value,
            power_limit_w=None if power_mw is None else power_mw.value / 1000,
        )

    def used_bytes(self) -> int | None:
        """Memory that all processes hold together."""
        memory = self._read_memory()
        return None if memory is None else memory.used

    def clock(self) -> tuple[float, bool] | None:
        """MHz now, and whether heat or power holds it back."""
        clock = self._read(ctypes.c_uint, "ClockInfo", _SM_CLOCK)
        reasons = self._read(ctypes.c_ulonglong, "CurrentClocksThrottleReasons")
        return None if clock is None else (clock.value, bool(reasons is not None and reasons.value & _HELD_BACK))

    def _read_memory(self) -> Any:
        return self._read(_Memory, "MemoryInfo")

    def _read(self, kind: Any, name: str, *asked: int) -> Any:
        # Drivers add functions, and drop old ones.
        call = getattr(self._library, f"nvmlDeviceGet{name}", None)
        value = kind()
        return None if call is None or call(self._handle, *asked, ctypes.byref(value)) else value

    def _read_text(self, name: str, *asked: Any) -> str | None:
        text = ctypes.create_string_buffer(96)
        failed = getattr(self._library, name)(*asked, text, ctypes.c_uint(len(text)))
        return None if failed else text.value.decode(errors="replace")


@cache
def list_gpus() -> tuple[Gpu, ...]:
    """The GPUs that this process may use, in the order in which CUDA counts them; none without a driver."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return ()
    count = ctypes.c_uint()
    if library.nvmlInit_v2() or library.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return ()
    handles = []
    for name in list_visible(count.value, os.environ):
        handle = ctypes.c_void_p()
        by, key = ("UUID", name.encode()) if isinstance(name, str) else ("Index_v2", ctypes.c_uint(name))
        if not getattr(library, f"nvmlDeviceGetHandleBy{by}")(key, ctypes.byref(handle)):
            handles.append(handle)
    return tuple(Gpu(library, handle) for handle in handles)


def list_visible(count: int, environment: Mapping[str, str]) -> list[int | str]:
    """Numbers or UUIDs of the GPUs that CUDA_VISIBLE_DEVICES leaves; the list ends at the first that is none."""
    told = environment.get("CUDA_VISIBLE_DEVICES")
    if told is None:
        return list(range(count))
    found: list[int | str] = []
    for word in (word.strip() for word in told.split(",")):
        if word.isdecimal() and int(word) < count:
            found.append(int(word))
        elif word.startswith("GPU-"):
            found.append(word)
        else:
            break
    return found


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
