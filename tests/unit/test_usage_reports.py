"""Libraries that report their use to their makers do not do it from here."""

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import seatrial
from seatrial.usage_reports import OFF, REPORTER

USE = """
import sys
{first}
import onnxruntime, openvino, numpy
session = onnxruntime.InferenceSession(sys.argv[1])
session.run(None, {{"x": numpy.zeros((1, 2), dtype=numpy.float32)}})
openvino.Core().compile_model(sys.argv[1], "CPU")
print({reporter!r} in sys.modules and sys.modules[{reporter!r}] is not None)
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in ("x", "y")]
    made = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "small", ends[:1], ends[1:])
    path = tmp_path / "small.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


def use_engines(graph: Path, home: Path, first: str) -> str:
    """Import and use both runtimes in a process whose home is `home`; whether OpenVINO took its reporter."""
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in OFF and not name.startswith("XDG_")}
    source = Path(seatrial.__file__).parents[1]
    changed = {"HOME": str(home), "PYTHONPATH": str(source), "CI": "", "TF_BUILD": "", "JENKINS_URL": ""}
    code = USE.format(first=first, reporter=REPORTER)
    done = subprocess.run(
        [sys.executable, "-c", code, str(graph)], env=kept | changed, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_an_engine_that_is_used_leaves_no_identity_of_its_user(graph: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert use_engines(graph, home, "import seatrial") == "False"
    assert sorted(home.rglob("*")) == []


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    seatrial.turn_off()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0" and os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
