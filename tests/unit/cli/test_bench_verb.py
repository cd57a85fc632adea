"""`seatrial bench` on a real engine; how long it measures is as little as may be."""

import json
import shutil
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.store.measurement import Energy, Measurement
from seatrial.workflow import bench as workflow
from tiny_trial import make_trial

QUICK = ["--duration", "0.01", "--min-samples", "2", "--processes", "1"]


@pytest.fixture(scope="module")
def place(tiny_engines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an engine and its images."""
    folder = tmp_path_factory.mktemp("bench")
    make_trial(folder / "trial", images=6)
    shutil.copytree(tiny_engines / "engines" / "onnxruntime", folder / "ort")
    return folder


def test_two_scopes_a_budget_and_what_was_checked(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = ["--images", str(place / "trial" / "val"), "--scope", "host,e2e", "--latency-budget-ms", "0.0001"]
    words = ["bench", str(place / "ort"), "--batch-size", "1,2", "--output", str(place / "two.json"), *images, *QUICK]
    assert run_cli(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("scope")] == ["scope host", "scope e2e"]
    assert lines[1].split()[:6] == ["batch", "images/s", "95", "%", "interval", "min"]
    assert lines.count("best with 99 % of its batches within 0.0001 ms: no batch size") == 2
    assert any(line.startswith("compiled in ") and " loaded in " in line for line in lines)
    assert any(line.startswith("checked: a repeated batch runs") for line in lines)
    assert any(line.startswith("doubt: batch 1, 2, scope e2e: measured in one process") for line in lines)
    record = Measurement.load(place / "two.json")
    assert [point.setting for point in record.points] == [("host", 1, 1), ("host", 1, 2), ("e2e", 1, 1), ("e2e", 1, 2)]
    assert record.inputs == f"images of {place / 'two.images.npy'}; scope e2e files of {place / 'trial' / 'val'}"
    assert record.compile_s is not None
    assert {point.outputs_error for point in record.points} == {0.0}


def test_a_loop_prints_the_guides_summary_and_writes_theirs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", str(place / "ort"), "--batch-size", "2", "--loop", "3", "--output", str(place / "loop.json")]
    assert run_cli(words) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        "[INFO] -----------------Performance Summary------------------\n[INFO] NPU_compute_time (ms)"
    )
    summary = json.loads((place / "loop_bs2_summary.json").read_text())
    (point,) = Measurement.load(place / "loop.json").points
    assert summary["npu_compute_time_list"] == list(point.durations_ms) and len(point.durations_ms) == 3
    assert f"throughput 1000*batchsize.mean(2)/NPU_compute_time.mean({sum(point.durations_ms) / 3}" in shown
    assert summary["args"][:2] == ["seatrial", "bench"] and "--loop" in summary["args"]


def test_json_is_the_record_with_its_figures(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", str(place / "ort"), "--batch-size", "1", "--output", str(place / "json.json"), "--json", *QUICK]
    assert run_cli(words) == 0
    record = json.loads(capsys.readouterr().out)
    (figures,) = record["figures"]
    assert (figures["scope"], figures["batch_size"]) == ("host", 1)
    assert figures["samples"] == len(record["points"][0]["durations_ms"])
    assert figures["interval"] is None or figures["interval"]["low"] <= figures["images_per_s"]


def test_energy_is_a_column_where_it_was_read(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["bench", str(place / "ort"), "--batch-size", "1,2", "--output", str(place / "joules.json"), *QUICK]
    assert run_cli(words) == 0
    assert "J/image" not in capsys.readouterr().out
    record = Measurement.load(place / "joules.json")
    read = Energy(scope="CPU packages", joules=150, seconds=2, images=100)
    first = record.points[0].model_copy(update={"energy": (read,)})
    monkeypatch.setattr(workflow, "sweep", lambda *_: record.model_copy(update={"points": (first, record.points[1])}))
    assert run_cli([*words, "--force"]) == 0
    header, one, two, line, *_ = capsys.readouterr().out.splitlines()
    assert header.endswith("samples  J/image, CPU packages")
    assert (one.split()[-1], two.split()[-1]) == ("1.50", "–")
    assert line == "energy of CPU packages: all processors of the machine with everything that ran on them"
    assert run_cli([*words, "--force", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [figures["joules_per_image"] for figures in shown["figures"]] == [{"CPU packages": 1.5}, {}]
    assert shown["points"][0]["energy"][0]["joules"] == 150


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--scope", "wall"], 2, "there is no scope 'wall'; scopes: device, host, e2e"),
        (["--scope", "host,host"], 2, "names a scope twice"),
        (["--scope", "e2e"], 2, "scope e2e reads image files; give the folder with --images"),
        (["--scope", "device"], 2, "onnxruntime does not measure device time on this device"),
        (["--loop", "3", "--duration", "1"], 2, "--loop and --duration both set how long to measure"),
        (["--loop", "3", "--min-samples", "9"], 2, "--loop and --min-samples both set how long to measure"),
        (["--loop", "3", "--streams", "2"], 2, "the guides' summary is of one stream"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    words: list[str], code: int, message: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = QUICK[4:] if "--loop" in words else QUICK
    command = ["bench", str(place / "ort"), "--batch-size", "1", "--output", str(place / "no.json"), *words, *limits]
    assert run_cli(command) == code
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (place / "no.json").exists()


@pytest.mark.parametrize(
    ("verb", "more"),
    [("load-test", ["--scenario", "offline", *QUICK[:4]]), ("bench", QUICK)],
    ids=["load-test", "bench"],
)
def test_a_file_that_is_no_record_is_not_overwritten(
    verb: str, more: list[str], place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_bytes(b"a graph")
    words = [verb, str(place / "ort"), "--batch-size", "1", "--output", str(tmp_path / "m.onnx"), *more]
    assert run_cli(words) == 2
    assert "m.onnx is no record of speed, and would be lost" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
