"""The commands of docs/cluster.md: all are understood, and the one that needs no second machine is run."""

import re
import shlex
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from tiny_trial import make_trial

PAGE = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")


def read_commands() -> list[list[str]]:
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[2:] for line in lines if line.startswith("$ seatrial ")]


def test_every_option_of_the_page_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = read_commands()
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
    (words,) = (words for words in read_commands() if "ray:local" in words)
    assert run_cli(words) == 0
    assert Path("accuracy/openvino.parquet").is_file()
