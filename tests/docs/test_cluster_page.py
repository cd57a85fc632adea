"""The commands of docs/cluster.md: all are understood, and the one that needs no second machine is run."""

from pathlib import Path

import pytest

from pages import read_commands
from seatrial.cli import run_cli
from tiny_trial import make_trial

PAGE = "docs/cluster.md"


def test_every_option_of_the_page_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = read_commands(PAGE)
    assert len(commands) == 3 and all("--cluster" in words for words in commands)
    for words in commands:
        assert run_cli(words) == 2
        assert "engines/openvino is no engine folder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_local_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    trial = make_trial(tmp_path / "imagenet")
    monkeypatch.chdir(tmp_path)
    checkpoint = ["--checkpoint", str(trial.checkpoint)]
    assert run_cli(["export", str(trial.card), *checkpoint, "--output", "model.onnx"]) == 0
    assert run_cli(["compile", "model.onnx", "--engine", "openvino", "--output", "engines/openvino"]) == 0
    (words,) = (words for words in read_commands(PAGE) if "ray:local" in words)
    assert run_cli(words) == 0
    assert Path("accuracy/openvino.parquet").is_file()
