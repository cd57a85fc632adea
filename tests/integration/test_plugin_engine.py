"""The example of a package with an engine is built, installed and used as its README says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import seatrial
from made_once import make_once

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin-engine"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python that has the example's package."""
    source = tmp_path_factory.mktemp("source")

    def make(folder: Path) -> None:
        # A build leaves files beside the sources.
        for name in ("pyproject.toml", "src/reference_engine.py"):
            (source / name).parent.mkdir(exist_ok=True)
            (source / name).write_bytes((EXAMPLE / name).read_bytes())
        words = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(folder), str(source)]
        command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *words]
        subprocess.run(command, check=True, capture_output=True, text=True)

    folder = make_once("plugin", tmp_path_factory, make)
    paths = [str(folder), str(Path(seatrial.__file__).parents[1])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def run(environment: dict[str, str], *words: str) -> str:
    ran = subprocess.run([sys.executable, "-m", *words], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_doctor_lists_it(installed: dict[str, str]) -> None:
    found = json.loads(run(installed, "seatrial", "doctor", "--json"))["engines"]
    (own,) = [has for has in found if has["engine"] == "onnx-reference"]
    assert own["missing"] is None and own["devices"] == ["cpu"] and own["precisions"] == ["fp32"]
    assert [has["engine"] for has in found][:2] == ["torch", "onnxruntime"]


def test_a_graph_is_compiled_for_it(installed: dict[str, str], tiny_engines: Path, tmp_path: Path) -> None:
    graph, output = str(tiny_engines / "model.onnx"), str(tmp_path / "engine")
    shown = run(installed, "seatrial", "compile", graph, "--engine", "onnx-reference", "--output", output)
    assert "onnx-reference" in shown and "fp32 on cpu" in shown


def test_it_keeps_every_promise(installed: dict[str, str]) -> None:
    lines = run(installed, "seatrial.testing", "onnx-reference").splitlines()
    assert len(lines) > 10 and all(line.startswith("kept") for line in lines)
