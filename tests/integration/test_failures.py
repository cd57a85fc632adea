"""When something is wrong: one line that says what was asked, found and to do, the exit code, nothing half made."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from seatrial.cli import run_cli
from seatrial.models.build import build_network
from seatrial.recipes.schema import Network
from tiny_trial import TinyTrial


def fail(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail with `code`; returns its one line on stderr."""
    assert run_cli(arguments) == code
    shown = capsys.readouterr()
    lines = [line for line in shown.err.splitlines() if line.startswith("seatrial: ")]
    assert len(lines) == 1 and shown.err.splitlines()[-1] == lines[0]
    assert shown.out == ""
    return lines[0]


def swap(arguments: list[str], option: str, value: str) -> list[str]:
    """The arguments with another value for one option."""
    at = arguments.index(option) + 1
    return [*arguments[:at], value, *arguments[at + 1 :]]


@pytest.mark.parametrize(
    ("option", "value", "code", "words"),
    [
        ("run", "resnet5", 2, "there is no recipe 'resnet5'; did you mean 'resnet50'?"),
        ("--images", "/nowhere/val", 6, "image folder /nowhere/val is not there"),
        ("--labels", "/nowhere/labels.txt", 6, "label file /nowhere/labels.txt cannot be read"),
        ("--checkpoint", "/nowhere/a.pth", 2, "checkpoint /nowhere/a.pth does not exist"),
        ("--batch-size", "1,x", 2, "--batch-size 1,x is not a list of whole numbers from 1 to"),
    ],
)
def test_what_is_not_there_is_named(
    option: str, value: str, code: int, words: str, tiny_trial: TinyTrial, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    arguments = swap(tiny_trial.run_arguments(tmp_path / "run"), option, value)
    assert words in fail(arguments, code, capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("engines", "code", "words"),
    [
        ("onnxruntim", 2, "there is no engine 'onnxruntim'; did you mean 'onnxruntime'?"),
        ("onnxruntime:int3", 2, "there is no precision 'int3' (fp32, tf32, bf16, fp16, int8); did you mean 'int8'?"),
        ("openvino,openvino:fp32", 2, "--engines names 'openvino' twice"),
        ("openvino:", 2, "names no precision after the colon"),
        (",", 2, "--engines names no engine"),
    ],
)
def test_an_engine_that_cannot_be_had_is_refused_before_any_work(
    engines: str, code: int, words: str, tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in fail(tiny_trial.run_arguments(tmp_path / "run", "--engines", engines), code, capsys)
    assert not (tmp_path / "run").exists()


def test_an_engine_that_is_not_installed_says_what_brings_it(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from seatrial.engines import openvino

    monkeypatch.setattr(openvino, "find_version", lambda name: None)
    line = fail(tiny_trial.run_arguments(tmp_path / "run", "--engines", "openvino"), 5, capsys)
    assert "engine 'openvino' cannot be used: openvino is not installed; pip install 'seatrial[openvino]'" in line


def test_an_image_that_is_no_image_is_named(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "val"
    images.mkdir()
    for path in tiny_trial.images.iterdir():
        (images / path.name).write_bytes(path.read_bytes())
    (images / "image_013.JPEG").write_bytes(b"<html>404</html>")
    arguments = swap(tiny_trial.run_arguments(tmp_path / "run"), "--images", str(images))
    line = fail(arguments, 6, capsys)
    assert "image_013.JPEG is no image (it holds a web page or XML); mend or remove it" in line
    assert not list((tmp_path / "run").rglob("*.onnx")) and not list((tmp_path / "run").rglob("*.parquet"))


def test_labels_of_other_images_are_reported(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("ILSVRC2012_val_00000001.JPEG 65\nILSVRC2012_val_00000002.JPEG 970\n")
    line = fail(swap(tiny_trial.run_arguments(tmp_path / "run"), "--labels", str(labels)), 6, capsys)
    assert "names other images than" in line and "'ILSVRC2012_val_00000001.JPEG'" in line and "image_000.JPEG" in line


def test_one_missing_image_is_reported(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text(tiny_trial.labels.read_text() + "image_999.JPEG 1\n")
    line = fail(swap(tiny_trial.run_arguments(tmp_path / "run"), "--labels", str(labels)), 6, capsys)
    assert "1 labelled but not there ('image_999.JPEG')" in line


def test_another_networks_checkpoint_is_refused_with_its_keys(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.pth"
    torch.save(build_network(Network(name="resnet10t", classes=4)).state_dict(), other)
    line = fail(swap(tiny_trial.run_arguments(tmp_path / "run"), "--checkpoint", str(other)), 8, capsys)
    assert "other.pth" in line and "layer3.0.conv3.weight" in line
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_an_output_that_cannot_be_written_is_a_storage_error(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    line = fail(tiny_trial.run_arguments(tmp_path / "file" / "run"), 9, capsys)
    assert "cannot be written" in line and "choose another --output" in line
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_run_folder_in_use_is_refused(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from seatrial.store.files import locked

    with locked(tmp_path / "run"):
        line = fail(tiny_trial.run_arguments(tmp_path / "run"), 2, capsys)
    assert "another process works in" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_resumes(
    number: signal.Signals, tiny_run: Path, tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It finds the graph of another run and torch's engine; the other one is compiled in earnest."""
    shutil.copytree(tiny_run / "engines" / "torch", tmp_path / "run" / "engines" / "torch")
    for made in ("model.onnx", "model.onnx.json", "checkpoint.safetensors", "checkpoint.safetensors.json"):
        shutil.copy(tiny_run / made, tmp_path / "run")
    arguments = tiny_trial.run_arguments(tmp_path / "run", "--engines", "onnxruntime", "--batch-size", "1")
    slow = swap(arguments, "--bench-duration", "600")
    log = tmp_path / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "seatrial", *slow], stderr=stderr, stdout=stderr)
    try:
        while "evaluate  onnxruntime" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        # Into the measuring of the first point, which is told to take ten minutes.
        while not any("seatrial.bench.worker" in child.cmdline() for child in psutil.Process(process.pid).children()):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        time.sleep(1)
        os.kill(process.pid, number)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
    assert (
        log.read_text().splitlines()[-1]
        == f"seatrial: stopped; the same command resumes: {shlex.join(['seatrial', *slow])}"
    )
    assert not list((tmp_path / "run").rglob(".*.json.*")), "temporary files were left behind"
    assert run_cli(arguments) == 0
    assert "already evaluated: onnxruntime" in capsys.readouterr().err
