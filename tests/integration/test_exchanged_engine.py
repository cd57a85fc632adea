"""An engine file exchanged for another one, its hash in engine.json edited: what it gives tells, in every verb."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from planted_faults import rehash_engine
from seatrial.cli import run_cli
from seatrial.store.records import Verdict
from tiny_trial import TinyTrial


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A finished run in which the files of both ONNX engines are those of another network."""
    copied = tmp_path / "run"
    shutil.copytree(tiny_run, copied)
    model = onnx.load(copied / "model.onnx")
    for weight in model.graph.initializer:
        if len(weight.dims) == 4:
            values = np.ascontiguousarray(numpy_helper.to_array(weight)[::-1])
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    for path in (copied / "engines" / "onnxruntime").glob("*.onnx"):
        path.unlink()
        onnx.save(model, path)
    rehash_engine(copied / "engines" / "onnxruntime")
    return copied


def test_a_run_does_not_pass_on(run: Path, tiny_trial: TinyTrial, capsys: pytest.CaptureFixture[str]) -> None:
    assert Verdict.load(run / "verdict.json").outcome == "PASS"
    assert run_cli(tiny_trial.run_arguments(run, "--engines", "onnxruntime,openvino")) == 8
    told = capsys.readouterr().err
    assert "engines/onnxruntime fails its self-test" in told
    assert "delete it and compile it again" in told
    shutil.rmtree(run / "engines" / "onnxruntime")
    assert run_cli(tiny_trial.run_arguments(run, "--engines", "onnxruntime,openvino")) == 0


@pytest.mark.parametrize("verb", ["evaluate", "bench", "infer"])
def test_no_verb_takes_it(
    verb: str, run: Path, tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = str(run / "engines" / "onnxruntime")
    words = {
        "evaluate": ["--images", str(tiny_trial.images), "--labels", str(tiny_trial.labels), "--output", str(tmp_path)],
        "bench": ["--batch-size", "2", "--duration", "0.01", "--output", str(tmp_path / "speed.json")],
        "infer": ["--input", str(tiny_trial.images), "--output", str(tmp_path / "out")],
    }[verb]
    assert run_cli([verb, engine, *words]) == 8
    assert "fails its self-test" in capsys.readouterr().err
