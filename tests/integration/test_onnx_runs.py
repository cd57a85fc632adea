"""A run of an ONNX file: the file itself is the reference, and nothing of torch is needed."""

import sys
from pathlib import Path
from subprocess import run as run_process

import onnx
import pytest
from onnx import version_converter

from onnx_graphs import write_linear
from seatrial.cli import run_cli
from seatrial.evaluation.reference import ReferencePredictions, name_differences
from seatrial.models.onnx_file import hash_onnx
from seatrial.results.run_folder import read_records, read_run
from seatrial.store.records import RunManifest, Verdict
from tiny_trial import TinyTrial

SAID = "the file itself in onnxruntime fp32"
WITHOUT_TORCH = """
import sys
from seatrial.cli import run_cli

sys.modules["torch"] = None
sys.exit(run_cli(sys.argv[1:]))
"""


def list_words(trial: TinyTrial, file: Path, output: Path, *more: str) -> list[str]:
    words = ["run", str(file), "--like", str(trial.card), "--images", str(trial.images), "--labels", str(trial.labels)]
    words += ["--output", str(output), "--bench-duration", "0.01", "--bench-samples", "2"]
    return [*words, "--batch-size", "1", *more]


@pytest.mark.parametrize("outside", [None, "net.onnx.data"])
def test_a_file_is_put_through_its_trial(
    outside: str | None, tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = write_linear(tmp_path / "net.onnx", outside=outside, classes=4), tmp_path / "run"
    words = list_words(tiny_trial, file, out)
    done = run_process([sys.executable, "-c", WITHOUT_TORCH, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"reference: {SAID}" in done.stdout and f"(reference: {SAID})" in done.stdout.splitlines()[-1]
    found = read_run(out)
    assert list(found.accuracy) == ["onnxruntime", "openvino"] and not found.stale
    assert found.manifest.inputs[str(file)] == hash_onnx(file) and found.manifest.checkpoint == ""
    assert found.graph is not None and found.graph.sha256 == hash_onnx(file) == hash_onnx(out / "model.onnx")
    assert (
        found.graph.data == (() if outside is None else (outside,))
        and Verdict.load(out / "verdict.json").reference == SAID
    )
    assert SAID in (out / "report.md").read_text()
    # Of one file the weights are the same, also in what is derived from it; of another nobody knows.
    record, reference = (
        found.accuracy["openvino"],
        ReferencePredictions.load(out / "evaluation" / "onnxruntime.parquet"),
    )
    assert record.versus is not None and (record.versus.other_weights, record.versus.doubts) == (False, ())
    derived = record.model_copy(update={"graph_sha256": "derived", "graph_origin": record.graph_sha256})
    assert not name_differences(record.versus, reference, derived).other_weights
    other = name_differences(record.versus, reference, record.model_copy(update={"checkpoint_sha256": "known"}))
    assert other.doubts == ("onnxruntime: whether it has the same weights is not known",) and other.other_weights
    assert run_cli(words) == 0
    assert "already copied: model.onnx" in (said := capsys.readouterr().err) and "already compiled: openvino" in said
    assert run_cli(["diagnose", str(out)]) == 2
    # Other weights are another file: nothing of the old one is a result of the new one.
    write_linear(file, seed=1, outside=outside, classes=4)
    manifest = RunManifest.load(out / "run.json")
    manifest.model_copy(update={"inputs": {**manifest.inputs, str(file): hash_onnx(file)}}).save(out / "run.json")
    assert read_records(out).stale["engines/openvino/engine.json"] == "another file"
    assert run_cli(words) in (0, 7)
    again = read_run(out)
    assert not again.stale and again.accuracy["openvino"].graph_sha256 == hash_onnx(file)


def test_what_does_not_go_with_a_file_is_an_error(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = write_linear(tmp_path / "net.onnx", classes=4, shape=(2, 3, 32, 32)), tmp_path / "run"
    assert run_cli(list_words(tiny_trial, file, out, "--opset", "13")) == 2
    assert run_cli(list_words(tiny_trial, file, out)) == 2
    said = capsys.readouterr().err
    assert "--opset is for a network that is exported" in said
    assert "is fixed to batch 2, and --batch-size is 1; give --batch-size 2" in said
    # Before the images are looked at.
    assert run_cli([*list_words(tiny_trial, file, out, "--engines", "openvino,torch"), "--images", "no"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{file} was exported elsewhere, so there is no network of its own that" in said
    assert "torch could run; the graph itself can be run by onnxruntime, openvino, tensorrt, ascend" in said
    write_linear(file, classes=4, shape=(2, 3, 32, 32), first=[("Div", [0.5])])
    # A graph of an opset that torch's older exporter does not write is a graph like any other.
    onnx.save(version_converter.convert_version(onnx.load(file), 21), file)
    words = [*list_words(tiny_trial, file, out, "--engines", "openvino")]
    at = words.index("--batch-size")
    del words[at : at + 2]  # Of what is not said the file's own is taken.
    assert run_cli(words) in (0, 7)
    assert "the graph normalises by itself: mean 0, 0, 0, std 0.5, 0.5, 0.5, of 0..1" in capsys.readouterr().err
    assert read_run(out).manifest.spec["batch_sizes"] == [2]
    assert not read_run(out).stale and read_run(out).recipe.normalisation == ((0, 0, 0), (1, 1, 1))
