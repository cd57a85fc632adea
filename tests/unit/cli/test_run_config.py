"""`seatrial run --config`, `--print-config`: what a file says, and what goes before it."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from seatrial.cli import run_cli
from seatrial.cli.run_config import place_reference

CONFIG = """
recipe = "card.toml"
images = "val"
output = "out"
engines = ["onnxruntime", "openvino:bf16"]
batch-size = [1, 8]
bench-duration = 2
gate = ["top1 >= 0.7", "size_bytes < 1e8"]
no-labels = true
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text(CONFIG)


def print_config(capsys: pytest.CaptureFixture[str], *words: str, file: str = "run.toml") -> dict[str, Any]:
    assert run_cli(["run", "--config", file, "--print-config", *words]) == 0
    return tomllib.loads(capsys.readouterr().out)


def test_a_file_is_taken_and_printed_with_all_that_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_config(capsys) == tomllib.loads(CONFIG) | {
        "bench-precision": 2.5,
        "bench-samples": 50,
        "evaluate-batch-size": 16,
    }


def test_what_is_printed_gives_the_same_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["run", "--config", "run.toml", "--print-config", "--opset", "13", "--time-budget", "10m"]) == 0
    Path("again.toml").write_text(text := capsys.readouterr().out)
    assert run_cli(["run", "--config", "again.toml", "--print-config"]) == 0
    assert capsys.readouterr().out == text and 'time-budget = "10m"' in text


def test_the_command_line_goes_first(capsys: pytest.CaptureFixture[str]) -> None:
    found = print_config(capsys, "other.toml", "--engines", "torch", "--gate", "best > 3", "--bench-duration", "1")
    assert (found["recipe"], found["engines"], found["gate"]) == ("other.toml", ["torch"], ["best > 3"])
    assert (found["bench-duration"], found["images"]) == (1, "val")


def test_a_bare_number_is_a_list_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("run.toml").write_text(CONFIG.replace("[1, 8]", "2"))
    assert print_config(capsys)["batch-size"] == [2]


def test_the_configuration_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = print_config(capsys)
    assert run_cli(["run", "--config", "run.toml", "--print-config", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found


def test_labels_of_the_command_line_settle_that_there_are_some(capsys: pytest.CaptureFixture[str]) -> None:
    found = print_config(capsys, "--labels", "labels.txt")
    assert found["labels"] == "labels.txt" and "no-labels" not in found
    Path("run.toml").write_text(CONFIG.replace("no-labels = true", 'labels = "labels.txt"'))
    found = print_config(capsys, "--no-labels")
    assert found["no-labels"] and "labels" not in found


def test_paths_are_those_from_the_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Path("conf").mkdir()
    Path("conf/run.toml").write_text(f'{CONFIG}checkpoint = "/data/w.pth"\ncalibration = "../c"\n')
    found = print_config(capsys, file="conf/run.toml")
    assert [found[name] for name in ("recipe", "images", "output", "checkpoint", "calibration")] == [
        "conf/card.toml",
        "conf/val",
        "conf/out",
        "/data/w.pth",
        "conf/../c",
    ]


@pytest.mark.parametrize(
    ("reference", "placed"),
    [
        ("timm:resnet50.a1_in1k", "timm:resnet50.a1_in1k"),
        ("hf:microsoft/resnet-50", "hf:microsoft/resnet-50"),
        ("hf:./folder", "hf:conf/./folder"),
        ("resnet50", "resnet50"),
        ("mine", "conf/mine"),
        ("nets.py:make", "conf/nets.py:make"),
        ("net.onnx", "conf/net.onnx"),
        ("../card.toml", "conf/../card.toml"),
        ("/cards/card.toml", "/cards/card.toml"),
    ],
)
def test_a_reference_may_have_a_path(reference: str, placed: str) -> None:
    Path("conf").mkdir()
    Path("conf/mine").touch()
    assert place_reference(reference, Path("conf")) == placed


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("batchsize = 3", "run.toml: there is no option 'batchsize'; did you mean 'batch-size'?"),
        ("config = 3", "there is no option 'config'"),
        ("dry-run = true", "there is no option 'dry-run'"),
        ("opset = '17'", 'run.toml: opset is "17", and it takes a whole number'),
        ("opset = true", "opset is true, and it takes a whole number"),
        ("bench-samples = 2.5", "bench-samples is 2.5, and it takes a whole number"),
        ("fetch = 1", "fetch is 1, and it takes true or false"),
        ("labels = 7", "labels is 7, and it takes a path"),
        ("like = [1]", "like is [1], and it takes a text"),
        ("engines = [true]", "engines is [true], and it takes a list of names or numbers"),
        ("gate = 'top1 > 0'", 'gate is "top1 > 0", and it takes a list of texts'),
        ("bench-samples = 0", "Invalid value for '--bench-samples'"),
        ("opset = ", "run.toml is not TOML"),
        ("context = 3", "there is no option 'context'"),
        ("return = 1", "there is no option 'return'"),
        ("labels = false", "labels is false, and it takes a path"),
        ("batch-size = true", "batch-size is true, and it takes a name, a number or a list of them"),
        ("bench_duration = 3", "run.toml: bench-duration is there twice, once as bench_duration; leave one"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(line: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    kept = [each for each in CONFIG.splitlines() if each.split(" = ")[0] != line.split(" = ")[0]]
    Path("run.toml").write_text("\n".join([*kept, line]))
    assert run_cli(["run", "--config", "run.toml", "--print-config"]) == 2
    shown = capsys.readouterr().err
    assert told in shown and shown.count("\n") == 1


def test_a_file_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["run", "--config", "none.toml"]) == 2
    assert "none.toml cannot be read" in capsys.readouterr().err


def test_what_the_file_leaves_out_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("run.toml").write_text("recipe = 'x'\nimages = 'val'")
    assert run_cli(["run", "--config", "run.toml"]) == 2
    assert "run needs --output (Path of the result)" in capsys.readouterr().err
