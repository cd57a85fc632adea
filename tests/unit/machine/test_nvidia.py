"""NVIDIA's driver library is faked: there is no GPU in the tests."""

import ctypes
from collections.abc import Iterator
from typing import Any

import pytest

from seatrial.machine import nvidia as nvml
from seatrial.machine.conditions import read_clock
from seatrial.machine.environment import read_environment
from seatrial.machine.nvidia import find_gpu, list_gpus, list_visible
from seatrial.store.measurement import Accelerator

NOT_SUPPORTED = 3


class FakeLibrary:
    """Two GPUs; the second tells nothing but its name."""

    reasons = 0x1

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = 2
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        handle._obj.value = 100 + index.value
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes, handle: Any) -> int:
        handle._obj.value = 101
        return 0 if uuid == b"GPU-b" else NOT_SUPPORTED

    def nvmlSystemGetDriverVersion(self, text: Any, length: Any) -> int:
        text.value = b"570.1"
        return 0

    def nvmlDeviceGetName(self, handle: Any, text: Any, length: Any) -> int:
        text.value = b"Chip A" if handle.value == 100 else b"Chip B"
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:
        memory._obj.total, memory._obj.used = 80 * 2**30, 3 * 2**30
        return 0 if handle.value == 100 else NOT_SUPPORTED

    def nvmlDeviceGetMaxClockInfo(self, handle: Any, kind: int, value: Any) -> int:
        value._obj.value = 1980 if kind == 1 else 0
        return 0 if handle.value == 100 else NOT_SUPPORTED

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: int, value: Any) -> int:
        value._obj.value = 1755 if kind == 1 else 0
        return 0 if handle.value == 100 else NOT_SUPPORTED

    def nvmlDeviceGetPowerManagementLimit(self, handle: Any, value: Any) -> int:
        value._obj.value = 700_000
        return 0 if handle.value == 100 else NOT_SUPPORTED

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Any, value: Any) -> int:
        value._obj.value = self.reasons
        return 0 if handle.value == 100 else NOT_SUPPORTED


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLibrary]:
    fake = FakeLibrary()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    list_gpus.cache_clear()
    yield fake
    list_gpus.cache_clear()


def test_what_the_driver_tells(library: FakeLibrary) -> None:
    first, second = list_gpus()
    assert first.describe() == Accelerator(
        name="Chip A", driver="570.1", memory_bytes=80 * 2**30, clock_mhz=1980, power_limit_w=700
    )
    assert second.describe() == Accelerator(name="Chip B", driver="570.1")
    assert (first.used_bytes(), second.used_bytes()) == (3 * 2**30, None)
    assert read_environment().accelerators == (first.describe(), second.describe())


@pytest.mark.parametrize(
    ("reasons", "held_back"),
    [(0x0, False), (0x1, False), (0x2, False), (0x4, True), (0x8, True), (0x10, False), (0x20, True), (0x81, True)],
)
def test_heat_and_power_are_told_from_idleness(reasons: int, held_back: bool, library: FakeLibrary) -> None:
    library.reasons = reasons
    assert read_clock("cuda:0") == (1755, held_back)
    assert read_clock("tensorrt:1") is None
    assert read_clock("npu:0") is None


def test_only_visible_gpus_count(library: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b")
    found = find_gpu("cuda:0")
    assert found is not None and found.describe().name == "Chip B"
    assert find_gpu("cuda:1") is None
    assert find_gpu("cpu") is None


@pytest.mark.parametrize(
    ("told", "visible"),
    [("1,0", [1, 0]), ("", []), ("0,7,1", [0]), ("GPU-x,1", ["GPU-x", 1]), ("-1,0", []), (None, [0, 1])],
)
def test_the_list_ends_at_what_is_no_gpu(told: str | None, visible: list[int | str]) -> None:
    assert list_visible(2, {} if told is None else {"CUDA_VISIBLE_DEVICES": told}) == visible


def test_a_driver_without_a_function_tells_the_rest(library: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(FakeLibrary, "nvmlDeviceGetCurrentClocksThrottleReasons")
    assert read_clock("cuda:0") == (1755, False)


def test_without_a_driver_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "LIBRARY", "libno-such-driver.so.1")
    list_gpus.cache_clear()
    assert list_gpus() == () and find_gpu("cuda:0") is None
    list_gpus.cache_clear()
