import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seatrial.errors import UsageError
from seatrial.machine import cpu

WriteSystem = Callable[[dict[str, str]], None]


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteSystem:
    """Puts files where the module looks for the system's, on a machine of eight cores."""

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        monkeypatch.setattr(cpu, "Path", lambda path: tmp_path / path.lstrip("/"))
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))

    return write


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "nonsense"}, 8),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ],
)
def test_cores_are_those_of_affinity_and_quota(files: dict[str, str], cores: int, system: WriteSystem) -> None:
    system(files)
    assert cpu.count_cores() == cores


def test_affinity_counts_without_a_quota(system: WriteSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    system({})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert cpu.count_cores() == 2


X86 = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu avx2 amx_int8 avx512f amx_bf16 bf160\nprocessor\t: 1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd i8mm bf16\nCPU part\t: 0xd40\n"


@pytest.mark.parametrize(
    ("files", "flags", "bf16"),
    [
        ({"proc/cpuinfo": X86}, ("avx2", "avx512f", "amx_bf16", "amx_int8"), True),
        ({"proc/cpuinfo": ARM}, ("asimd", "bf16", "i8mm"), True),
        ({"proc/cpuinfo": X86.replace("amx_bf16", "")}, ("avx2", "avx512f", "amx_int8"), False),
        ({"proc/cpuinfo": "processor : 0\n"}, (), False),
        ({}, (), False),
    ],
)
def test_flags_that_decide_precisions(
    files: dict[str, str], flags: tuple[str, ...], bf16: bool, system: WriteSystem
) -> None:
    system(files)
    assert cpu.read_flags() == flags
    assert cpu.has_fast_bf16() is bf16


@pytest.mark.parametrize(("streams", "threads"), [(1, 8), (2, 4), (3, 2), (16, 1)])
def test_streams_share_the_cores(streams: int, threads: int, system: WriteSystem) -> None:
    system({})
    assert cpu.count_threads({}, streams) == threads
    assert cpu.count_threads({"threads": "5"}, streams) == 5


@pytest.mark.parametrize("asked", ["0", "-1", "two", "1.5", "", "²"])
def test_threads_are_a_whole_number_above_0(asked: str) -> None:
    with pytest.raises(UsageError, match=f"option threads={asked} is not a number; give a whole number above 0"):
        cpu.count_threads({"threads": asked})
