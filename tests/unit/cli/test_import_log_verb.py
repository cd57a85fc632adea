import json
from pathlib import Path

import pytest

from golden_logs import LOGS
from sealed import read_unsealed
from seatrial.bench.vendor_logs import READERS
from seatrial.cli import run_cli


def run(*words: str | Path) -> int:
    return run_cli(["import-log", *map(str, words)])


def test_it_prints_a_table_with_the_line_of_each_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = LOGS / "ais_infer-2022-10.log"
    assert run("ais_bench", log, "--device", "310", "--chips-per-card", "4", "--output", tmp_path / "a.json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("device 310, precision not stated, model ./se-resnext_bs16.om")
    assert lines[2].split() == [f"{log}:11", "16", "device", "729.3", "2917.0", "21.940", "21.922", "100"]
    assert lines[3].startswith("scope device: NPU_compute_time") and lines[4].startswith("doubt: ")


def test_json_is_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, output = LOGS / "onnxruntime_perf_test.log", tmp_path / "a.json"
    assert run("auto", log, "--batch-size", "8", "--model", "resnet50", "--json", "--output", output) == 0
    record = json.loads(capsys.readouterr().out)
    assert record == read_unsealed(output)
    assert (record["schema"], record["model"], record["points"][0]["images_per_s"]) == (
        "seatrial/imported/1",
        "resnet50",
        400,
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("trtexec", LOGS / "mlperf-server.txt"), 2, "use `seatrial import-log mlperf`"),
        (("tensorrt", LOGS / "mlperf-server.txt"), 2, "there is no reader for 'tensorrt'"),
        (("auto", LOGS / "nowhere.log"), 2, "there is no"),
        (("auto", LOGS / "onnxruntime_perf_test.log"), 2, "give it with --batch-size"),
        (("auto", LOGS / "trtexec-11.1-failed.log"), 8, "trtexec reports on line 2: Unknown option: --fp16"),
        (("auto", LOGS / "trtexec-8.6.log", LOGS / "trtexec-11.1.log"), 7, "differ in tool version"),
    ],
)
def test_an_error_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, message: str
) -> None:
    assert run(*words, "--output", tmp_path / "a.json") == code
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1 and not (tmp_path / "a.json").exists()


def test_help_names_every_tool(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    shown = capsys.readouterr().out
    assert all(tool in shown for tool in READERS)


def test_a_file_that_is_no_record_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "card.toml").write_text("name = 'mine'")
    assert run("trtexec", LOGS / "trtexec-8.6.log", "--output", tmp_path / "card.toml") == 2
    assert "card.toml is no record of speed" in capsys.readouterr().err
    assert (tmp_path / "card.toml").read_text() == "name = 'mine'"
