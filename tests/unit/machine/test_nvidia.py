"""NVIDIA's driver library is faked: there is no GPU in the tests."""

from collections.abc import Iterator

import pynvml
import pytest

from fake_nvml import FakeLibrary, fake_nvml
from seatrial.machine.conditions import read_clock
from seatrial.machine.environment import read_environment
from seatrial.machine.nvidia import find_gpu, list_gpus, list_visible
from seatrial.store.measurement import Accelerator


@pytest.fixture
def library() -> Iterator[FakeLibrary]:
    with fake_nvml() as fake:
        yield fake


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
    def missing(*_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)

    monkeypatch.setattr(FakeLibrary, "nvmlDeviceGetCurrentClocksThrottleReasons", missing)
    assert read_clock("cuda:0") == (1755, False)
    monkeypatch.setattr(FakeLibrary, "nvmlSystemGetDriverVersion", missing)
    assert list_gpus()[1].describe() == Accelerator(name="Chip B")


def test_without_a_driver_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "CDLL", missing)
    list_gpus.cache_clear()
    assert list_gpus() == () and find_gpu("cuda:0") is None
    list_gpus.cache_clear()
