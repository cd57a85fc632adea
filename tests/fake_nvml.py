"""A FAKE of NVIDIA's driver library (`pynvml`), for tests: it has not met hardware."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from seatrial.machine.nvidia import list_gpus


def first_only(handle: int, value: Any) -> Any:
    """What the first GPU gives and the second does not support."""
    if handle != 100:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return value


class FakeLibrary:
    """Two GPUs; the second supports nothing but its name."""

    NVMLError = pynvml.NVMLError
    NVML_CLOCK_SM = 1
    reasons = 0x1

    def __init__(self) -> None:
        self.busy = [0]
        """Per cent of each reading; the last one stays."""
        self.joules: list[float] = []
        """The counter at each reading; not supported without."""
        self.processes: list[tuple[int, int | None]] = []
        """Numbers, and bytes of memory."""

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return 100 + index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:
        return first_only(100 if uuid == "GPU-b" else 0, 101)

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.1"

    def nvmlDeviceGetName(self, handle: int) -> str:
        return "Chip A" if handle == 100 else "Chip B"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return first_only(handle, SimpleNamespace(total=80 * 2**30, used=3 * 2**30))

    def nvmlDeviceGetMaxClockInfo(self, handle: int, kind: int) -> int:
        return first_only(handle, 1980 if kind == 1 else 0)

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> int:
        return first_only(handle, 1755 if kind == 1 else 0)

    def nvmlDeviceGetPowerManagementLimit(self, handle: int) -> int:
        return first_only(handle, 700_000)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:
        return first_only(handle, self.reasons)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return first_only(handle, SimpleNamespace(gpu=self.busy.pop(0) if len(self.busy) > 1 else self.busy[0]))

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        return first_only(handle if self.joules else 0, round(1000 * self.joules.pop(0)) if self.joules else 0)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> Any:
        return first_only(handle, [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.processes])


@contextmanager
def fake_nvml() -> Iterator[FakeLibrary]:
    """Let the fake stand where the driver's library is."""
    fake = FakeLibrary()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seatrial.machine.nvidia.pynvml", fake)
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        list_gpus.cache_clear()
        yield fake
    list_gpus.cache_clear()
