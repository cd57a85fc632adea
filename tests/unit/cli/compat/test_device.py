"""`npu-smi` on a machine with NPUs and on one without."""

import shlex
from pathlib import Path

import pytest

from ascend_machine import emulate_ascend
from seatrial.cli import run_cli


def test_without_an_npu_the_engines_are_listed_and_the_device_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(shlex.split("compat npu-smi info")) == 5
    shown = capsys.readouterr()
    assert "onnxruntime" in shown.out and "npu-smi is here: seatrial doctor" in shown.err
    assert shown.err.endswith("seatrial: npu-smi is not on PATH: no NPU here; the table lists what there is instead\n")


def test_on_an_npu_its_own_tool_is_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with emulate_ascend(tmp_path / "cann"):
        assert run_cli(shlex.split("compat npu-smi info")) == 0
        assert "310P3" in capfd.readouterr().out
        # All words reach it; the emulator knows the first form alone.
        assert run_cli(shlex.split("compat npu-smi info -t power -i 0")) == 5
        assert "not ['info', '-t', 'power', '-i', '0']" in capfd.readouterr().err
