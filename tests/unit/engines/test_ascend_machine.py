from collections.abc import Iterator
from pathlib import Path

import pytest

from ascend_machine import emulate_ascend
from seatrial.engines.ascend import machine
from seatrial.engines.ascend.machine import find_chip, probe_machine
from seatrial.errors import EngineError
from seatrial.machine.ascend import Chip, list_chips, parse_npu_smi, read_chip
from seatrial.store.measurement import DeviceProcess

TWO_310P3 = """\
+-------------------+-----------------+------------------------------------------------------+
| NPU     Name      | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device    | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===================+=================+======================================================+
| 0       310P3     | OK              | 15.8         42                0    / 0              |
| 0       0         | 0000:82:00.0    | 0            1074 / 21534                            |
+===================+=================+======================================================+
| 1       310P3     | OK              | 15.4         43                0    / 0              |
| 0       1         | 0000:89:00.0    | 0            1070 / 21534                            |
+===================+=================+======================================================+
"""
"""As ModelZoo's guides print it."""
CARD_310 = """\
+------------------------------------------------------------------------------+
| npu-smi 21.0.2                     Version: 21.0.2                           |
+-------------------+-----------------+----------------------------------------+
| NPU     Name      | Health          | Power(W)   Temp(C)                     |
| Chip    Device    | Bus-Id          | AICore(%)  Memory-Usage(MB)            |
+===================+=================+========================================+
| 4       310       | OK              | 12.8       45                          |
| 0       0         | 0000:05:00.0    | 0          2457 / 8192                 |
+-------------------+-----------------+----------------------------------------+
| 4       310       | OK              | 12.8       44                          |
| 1       1         | 0000:06:00.0    | 0          2457 / 8192                 |
+-------------------+-----------------+----------------------------------------+
| 4       310       | Warning         | 12.8       45                          |
| 2       2         | 0000:07:00.0    | 0          2457 / 8192                 |
+-------------------+-----------------+----------------------------------------+
| 4       310       | OK              | 12.8       44                          |
| 3       3         | 0000:08:00.0    | 0          2457 / 8192                 |
+===================+=================+========================================+
"""
"""Four chips; how the real tool lists them was not seen, so both ways are read: see the test."""
A_910B = """\
| npu-smi 23.0.rc2                 Version: 23.0.rc2                                                   |
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
| 6     910B3               | OK            | 93.5        41                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3162 / 65536         |
| 7     910B3               | OK            | 95.1        43                0    / 0             |
| 0                         | 0000:C2:00.0  | 0           0    / 0          3162 / 65536         |
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
| No running processes found in NPU 6                                                            |
"""
ON_CHIP = """\
| 0       310B4             | Alarm           | 0.0          53                15    / 15            |
| 0       0                 | NA              | 0            1074 / 3513                             |
"""


@pytest.fixture
def cann(tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    with emulate_ascend(tmp_path, "310P3,310") as patch:
        patch.setattr(machine, "SET_ENV", (str(tmp_path / "set_env.sh"), "/usr/local/Ascend/cann/set_env.sh"))
        yield patch


def list_parsed(text: str) -> tuple[Chip, ...]:
    return tuple(state.chip for state in parse_npu_smi(text))


def test_one_chip_a_card() -> None:
    assert list_parsed(TWO_310P3) == (Chip(0, 0, "310P3"), Chip(1, 1, "310P3"))
    assert list_parsed(TWO_310P3)[0].soc_version == "Ascend310P3"


def test_four_chips_a_card() -> None:
    four = tuple(Chip(device, 4, "310") for device in range(4))
    assert list_parsed(CARD_310) == four
    lines = CARD_310.splitlines()
    named_once = [line for i, line in enumerate(lines) if " 310 " not in line or i == 6]
    assert list_parsed("\n".join(named_once)) == four


def test_chips_without_a_device_number_are_counted() -> None:
    assert list_parsed(A_910B) == (Chip(0, 6, "910B3"), Chip(1, 7, "910B3"))


def test_a_chip_that_is_on_no_bus() -> None:
    assert list_parsed(ON_CHIP) == (Chip(0, 0, "310B4"),)


@pytest.mark.parametrize("text", ["", "command not found", "| 0 | 1 |", "| 0       0         | 0000:82:00.0    | 0 |"])
def test_what_is_no_table_holds_no_chips(text: str) -> None:
    assert parse_npu_smi(text) == ()


BUSY_910 = """\
+------------------------------------------------------------------------------------------------+
| npu-smi 23.0.rc1                 Version: 23.0.rc1                                             |
+----------------------+---------------+----------------------------------------------------+
| NPU   Name           | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                 | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+======================+===============+====================================================+
| 0     910ProB        | OK            | 157.3       33                0    / 0             |
| 0                    | 0000:C1:00.0  | 38          1198 / 15137      30711/ 32768         |
+----------------------+---------------+----------------------------------------------------+
| 0     910ProB        | OK            | -           33                0    / 0             |
| 1                    | 0000:C1:00.0  | NA          0    / 0          0    / 0             |
+======================+===============+====================================================+
+----------------------+---------------+----------------------------------------------------+
| NPU     Chip         | Process id    | Process name             | Process memory(MB)      |
+======================+===============+====================================================+
| 0       0            | 55115         | python3.9                | 30784                   |
| 0       0            | 907864        |                          | 134                     |
+======================+===============+====================================================+
| 0       1            | 77            | train                    | NA                      |
+======================+===============+====================================================+
"""


def test_what_a_chip_does_is_read_with_it() -> None:
    first, second = parse_npu_smi(BUSY_910)
    assert (first.busy, first.power_w, first.memory_bytes) == (0.38, 157.3, 30711 * 2**20)
    assert first.processes == (
        DeviceProcess(pid=55115, name="python3.9", memory_bytes=30784 * 2**20),
        DeviceProcess(pid=907864, name="", memory_bytes=134 * 2**20),
    )
    # The power is its card's; what is not given is not known.
    assert (second.busy, second.power_w, second.memory_bytes) == (None, 157.3, None)
    assert second.processes == (DeviceProcess(pid=77, name="train"),)
    assert parse_npu_smi(TWO_310P3)[1].memory_bytes == 1070 * 2**20


def test_a_process_in_a_container_has_its_number_there() -> None:
    table = BUSY_910.replace(" 134                     |", " 134                     | 12                    |")
    assert [process.pid for process in parse_npu_smi(table)[0].processes] == [55115, 12]


def test_a_chip_is_found_by_the_number_that_programs_use(cann: pytest.MonkeyPatch) -> None:
    def find(device: str) -> str | None:
        state = read_chip(device)
        return state and state.chip.name

    assert [find(device) for device in ("npu", "npu:0", "npu:1")] == ["310P3", "310P3", "310"]
    assert [find(device) for device in ("npu:2", "cpu")] == [None, None]
    cann.setenv("ASCEND_RT_VISIBLE_DEVICES", "1")
    assert [find(device) for device in ("npu:0", "npu:1")] == ["310", None]


def test_a_machine_that_has_everything(cann: pytest.MonkeyPatch) -> None:
    assert list_chips() == (Chip(0, 0, "310P3"), Chip(1, 1, "310"))
    found = probe_machine()
    assert (found.version, found.devices, found.missing) == ("CANN 8.0.RC1", ("npu:0", "npu:1"), None)
    assert (found.precisions, found.free_batch) == (("fp16", "fp32"), False)
    assert found.hardware == ("Ascend310P3", "Ascend310")
    assert find_chip("npu:1").soc_version == "Ascend310"


def test_a_device_that_is_not_there(cann: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match=r"no device 'npu:2' here; it has npu:0 \(Ascend310P3\), npu:1 \(Ascend310\)"):
        find_chip("npu:2")


def test_the_first_thing_that_set_env_brings_is_named(cann: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "set_env.sh").touch()
    hint = f"source {tmp_path / 'set_env.sh'}"
    cann.setenv("LD_LIBRARY_PATH", "/nowhere::/elsewhere")
    assert (probe_machine().missing, probe_machine().install_hint) == (
        "libascendcl.so is in no folder of LD_LIBRARY_PATH",
        hint,
    )
    cann.setenv("ASCEND_OPP_PATH", "/nowhere")
    assert probe_machine().missing == "ASCEND_OPP_PATH is /nowhere, which is no folder"
    cann.delenv("ASCEND_OPP_PATH")
    assert (probe_machine().missing, probe_machine().install_hint) == ("ASCEND_OPP_PATH is not set", hint)


def test_a_cann_that_is_nowhere_must_be_installed(cann: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cann.delenv("ASCEND_OPP_PATH")
    found = probe_machine()
    assert found.version is None
    assert found.install_hint == (
        f"install the CANN toolkit (Ascend-cann-toolkit), then source {tmp_path / 'set_env.sh'}"
    )


def test_a_driver_without_npus(cann: pytest.MonkeyPatch) -> None:
    cann.setenv("EMULATED_NPUS", "")
    found = probe_machine()
    assert found.version is None and found.missing == "`npu-smi info` lists no NPU"
    assert found.install_hint.startswith("install the Ascend driver; in a container, mount npu-smi")


def test_a_machine_that_has_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASCEND_HOME_PATH", "ASCEND_OPP_PATH", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = probe_machine()
    assert (found.version, found.devices) == (None, ())
    assert found.missing == (
        "npu-smi is not on PATH, atc is not on PATH, not installed in this Python: aclruntime and ais_bench"
    )
    assert "pip install aclruntime-*.whl ais_bench-*.whl" in found.install_hint


def test_versions_of_older_layouts(cann: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ascend-toolkit" / "x86_64-linux" / "ascend_toolkit_install.info").unlink()
    assert probe_machine().version == "CANN unknown"
    (tmp_path / "ascend-toolkit" / "opp" / "version.info").write_text("Version=5.1.RC1\nversion_dir=5.1.RC1\n")
    assert probe_machine().version == "CANN 5.1.RC1"
