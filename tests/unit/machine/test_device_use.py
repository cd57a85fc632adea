"""Who else uses an accelerator, as a fake driver library and an emulated npu-smi report it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ascend_machine import emulate_ascend
from fake_nvml import FakeLibrary, fake_nvml
from seatrial.machine.device_use import SETTLE_S, read_device_use
from seatrial.store.measurement import DeviceProcess, DeviceUse

NOBODY = 2**22 + 1
"""More than Linux lets the number of a process be."""


@pytest.fixture
def library() -> Iterator[FakeLibrary]:
    with fake_nvml() as fake:
        yield fake


@pytest.fixture
def stranger() -> Iterator[int]:
    """The number of a process that is no relative of this one's."""
    # Nothing of ours is left open in it: its parent's output would end when it does.
    script = "from subprocess import DEVNULL, Popen; print(Popen(['sleep', '60'], stdout=DEVNULL, stderr=DEVNULL).pid)"
    number = int(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
    yield number
    os.kill(number, 9)


def test_a_processor_has_no_driver_to_report(library: FakeLibrary) -> None:
    assert read_device_use("cpu") is None and read_device_use("cuda:7") is None and read_device_use("npu:0") is None


def test_an_idle_gpu_is_looked_at_once(library: FakeLibrary) -> None:
    library.busy = [5, 90]
    use = read_device_use("cuda:0", pytest.fail)
    assert use == DeviceUse(busy=0.05, memory_bytes=3 * 2**30)


@pytest.mark.parametrize(("busy", "found"), [([80, 2], 0.02), ([80, 60, 0], 0.6)])
def test_what_has_just_ended_is_waited_for(busy: list[int], found: float, library: FakeLibrary) -> None:
    library.busy, waits = busy, []
    use = read_device_use("tensorrt:0", waits.append)
    assert use is not None and use.busy == found and waits == [SETTLE_S]


def test_a_gpu_that_supports_nothing_is_not_called_idle(library: FakeLibrary) -> None:
    assert read_device_use("cuda:1") == DeviceUse()


def test_processes_are_others_our_own_or_hidden(library: FakeLibrary, stranger: int) -> None:
    library.processes = [(os.getpid(), 7), (os.getppid(), None), (stranger, 2**20), (NOBODY, 5)]
    use = read_device_use("cuda:0")
    assert use is not None
    assert use.others == (DeviceProcess(pid=stranger, name="sleep", memory_bytes=2**20),)
    assert use.hidden == 1


def test_an_npu_is_read_by_npu_smi(tmp_path: Path, stranger: int) -> None:
    with emulate_ascend(tmp_path, "310P3,310P3") as patch:
        idle = DeviceUse(busy=0.0, memory_bytes=1074 * 2**20)
        assert read_device_use("npu:1", pytest.fail) == idle
        patch.setenv("EMULATED_NPU_BUSY", "37")
        patch.setenv("EMULATED_NPU_PROCESSES", f"1:{stranger}:python:2873,0:{stranger}:other:1,1:{NOBODY}:python:9")
        use = read_device_use("npu:1", lambda seconds: None)
        assert use is not None and (use.busy, use.hidden) == (0.37, 1)
        assert use.others == (DeviceProcess(pid=stranger, name="python", memory_bytes=2873 * 2**20),)
