"""A run with engines that take int8 from the graph."""

from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.store.records import EngineManifest, GraphManifest, RunManifest
from tiny_trial import LAYERS, TinyTrial

WANTED = ("--engines", "onnxruntime:int8,openvino:int8", "--batch-size", "1")


def test_a_run_makes_each_graph_once(tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, calibration = tmp_path / "run", tiny_trial.folder / "train"
    words = tiny_trial.run_arguments(run, *WANTED, "--calibration", str(calibration))
    assert run_cli(words) == 0
    capsys.readouterr()
    graphs = {name: GraphManifest.load(run / f"{name}.onnx.json") for name in ("model", "model-int8")}
    assert [graph.precision for graph in graphs.values()] == ["fp32", "int8"]
    for engine, graph in (("torch", "model"), ("onnxruntime-int8", "model-int8"), ("openvino-int8", "model-int8")):
        built = EngineManifest.load(run / "engines" / engine / "engine.json")
        assert built.graph == graphs[graph]
        assert engine == "torch" or built.executed["int8"] >= LAYERS - 1
    stored = RunManifest.load(run / "run.json")
    assert stored.inputs[str(calibration)] == graphs["model-int8"].calibration.sha256  # type: ignore[union-attr]
    assert f"--calibration {calibration}" in stored.command
    stamps = {path: path.stat().st_mtime_ns for path in run.rglob("*.onnx")}
    assert run_cli(words) == 0
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*.onnx")} == stamps
    assert "already quantised: model-int8.onnx" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ((), 2, "'onnxruntime-int8' needs calibration images; give --calibration"),
        (("--calibration", "val"), 6, "24 of 24 evaluation images were used for calibration"),
        (("--calibration", "train", "--engines", "onnxruntime"), 2, "--engines names none in int8"),
        (("--calibration", "nowhere"), 6, "nowhere is not there"),
    ],
)
def test_what_is_wrong_with_the_calibration_is_reported_before_any_work(
    more: tuple[str, ...],
    code: int,
    words: str,
    tiny_trial: TinyTrial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tiny_trial.folder)
    assert run_cli(tiny_trial.run_arguments(tmp_path / "run", *WANTED, *more)) == code
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
