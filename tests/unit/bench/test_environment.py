import platform
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from seatrial.bench.environment import machine_hash, read_conditions, read_environment
from seatrial.store.records import Environment

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
        "import sys; from seatrial.bench.environment import read_environment; read_environment();"
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
    ],
)
def test_hardware_and_system_make_another_machine(other: dict[str, object]) -> None:
    assert machine_hash(MACHINE.model_copy(update=other)) != machine_hash(MACHINE)


def test_conditions_are_shares_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 25.0 * interval)
    monkeypatch.setattr(psutil, "swap_memory", lambda: SimpleNamespace(used=4096))
    conditions = read_conditions(seconds=2.0)
    assert (conditions.busy, conditions.swap_bytes) == (0.5, 4096)


@pytest.mark.parametrize(("highest", "told"), [(3500.4, 3500), (0.0, None), (None, None), (NotImplementedError, None)])
def test_a_clock_is_told_where_the_system_tells_it(
    highest: float | type[Exception] | None, told: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> object:
        if isinstance(highest, type):
            raise highest
        return None if highest is None else SimpleNamespace(current=800.0, min=400.0, max=highest)

    monkeypatch.setattr(psutil, "cpu_freq", read)
    assert read_environment(()).clock_mhz == told
