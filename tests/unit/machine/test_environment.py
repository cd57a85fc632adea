import os
import platform
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from seatrial.machine import conditions
from seatrial.machine import environment as module
from seatrial.machine.conditions import OtherLoad, read_clock, read_conditions
from seatrial.machine.environment import find_changes, machine_hash, read_environment
from seatrial.store.measurement import Accelerator, Environment

MACHINE = Environment(
    cpu="Chip 9000",
    cpu_flags=("avx2", "amx_bf16"),
    cores=8,
    memory_bytes=16 * 2**30,
    system="Linux-6",
    python="3.12.1",
    versions={"numpy": "2.1"},
)


def test_environment_is_this_machine() -> None:
    found = read_environment()
    assert found.python == platform.python_version()
    assert found.cores >= 1
    assert found.memory_bytes == psutil.virtual_memory().total
    assert found.cpu
    assert {"numpy", "pillow"} <= set(found.versions)


def test_only_installed_packages_are_named() -> None:
    assert set(read_environment(["pytest", "no-such-distribution"]).versions) == {"pytest"}
    assert read_environment(["pytest"]).versions["pytest"] == pytest.__version__


def test_reading_the_environment_imports_no_framework() -> None:
    script = (
        "import sys; from seatrial.machine.environment import read_environment; read_environment();"
        "print({'torch', 'timm', 'onnx', 'onnxruntime', 'openvino', 'nncf', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")


@pytest.mark.parametrize(
    "same",
    [
        {"versions": {"numpy": "2.2"}},
        {"python": "3.13.0"},
        {"memory_bytes": 16 * 2**30 - 300 * 2**20},
        {"cpu_flags": ("amx_bf16", "avx2")},
    ],
)
def test_software_and_boot_do_not_make_another_machine(same: dict[str, object]) -> None:
    assert machine_hash(MACHINE.model_copy(update=same)) == machine_hash(MACHINE)


@pytest.mark.parametrize(
    "other",
    [
        {"cpu": "Chip 9001"},
        {"cpu_flags": ("avx2",)},
        {"cores": 4},
        {"memory_bytes": 32 * 2**30},
        {"system": "Linux-7"},
        {"accelerators": (Accelerator(name="Chip A", driver="570"),)},
    ],
)
def test_hardware_and_system_make_another_machine(other: dict[str, object]) -> None:
    assert machine_hash(MACHINE.model_copy(update=other)) != machine_hash(MACHINE)


def test_conditions_are_shares_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 25.0 * interval)
    monkeypatch.setattr(psutil, "swap_memory", lambda: SimpleNamespace(used=4096))
    conditions = read_conditions(seconds=2.0)
    assert (conditions.busy, conditions.swap_bytes) == (0.5, 4096)
    assert not conditions.on_battery


@pytest.mark.parametrize(("plugged", "on_battery"), [(True, False), (False, True), (None, False)])
def test_only_a_battery_that_is_used_counts(
    plugged: bool | None, on_battery: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 0.0)
    monkeypatch.setattr(psutil, "sensors_battery", lambda: SimpleNamespace(power_plugged=plugged), raising=False)
    assert read_conditions().on_battery == on_battery


def test_what_others_use_is_what_is_busy_without_us(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two processors for ten seconds, twelve of the twenty busy, four by this process: others used eight, 40 %.
    Times = namedtuple("Times", "user system idle guest guest_nice")
    readings = iter([Times(100, 10, 1000, 5, 0), Times(109, 13, 1008, 6, 0)])
    ours = iter([SimpleNamespace(user=7.0, system=1.0), SimpleNamespace(user=10.0, system=2.0)])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(readings))
    monkeypatch.setattr(os, "times", lambda: next(ours))
    assert OtherLoad().read() == pytest.approx(0.4)


def test_too_short_a_time_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Times = namedtuple("Times", "user system idle")
    monkeypatch.setattr(psutil, "cpu_times", lambda: Times(1.0, 1.0, 1.0))
    assert OtherLoad().read() is None


def test_clocks_and_limits_are_read_where_they_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for core, khz in enumerate(("3000000", "2000000", "what")):
        (tmp_path / f"cpu{core}" / "cpufreq").mkdir(parents=True)
        (tmp_path / f"cpu{core}" / "cpufreq" / "scaling_cur_freq").write_text(khz)
    first = tmp_path / "cpu0" / "cpufreq"
    first.joinpath("scaling_governor").write_text("powersave\n")
    first.joinpath("cpuinfo_max_freq").write_text("3800000\n")
    (tmp_path / "memory.max").write_text("1073741824\n")
    for each in (module, conditions):
        monkeypatch.setattr(each, "CPUFREQ", first)
    monkeypatch.setattr(module, "_CGROUP", tmp_path)
    found = read_environment()
    assert (found.governor, found.clock_mhz, found.memory_limit_bytes) == ("powersave", 3800, 2**30)
    assert read_clock("cpu") == (2500, False)
    (tmp_path / "memory.max").write_text("max\n")
    assert read_environment().memory_limit_bytes is None
    for each in (module, conditions):
        monkeypatch.setattr(each, "CPUFREQ", tmp_path / "none" / "cpu0" / "cpufreq")
    assert read_clock("cpu") is None and read_environment().governor is None


def test_changes_name_both_sides() -> None:
    other = MACHINE.model_copy(
        update={"cores": 4, "versions": {"numpy": "2.2", "torch": "2.9"}, "governor": "powersave"}
    )
    assert find_changes(MACHINE, MACHINE) == []
    assert find_changes(MACHINE, other) == [
        "cores: 8, now 4",
        "governor: none, now powersave",
        "numpy: 2.1, now 2.2",
        "torch: none, now 2.9",
    ]
