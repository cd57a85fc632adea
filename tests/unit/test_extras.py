"""Without an optional library a verb ends in one line with exit code 5, which names the extra that brings it."""

import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import seatrial
from seatrial import api
from seatrial.errors import EngineError
from seatrial.extras import LIBRARIES, naming_extras
from tiny_trial import TinyTrial

PROJECT: dict[str, Any] = tomllib.loads(
    (Path(seatrial.__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
)["project"]
HIDE = """
import contextlib, importlib.metadata, io, json, runpy, sys
gone, commands = json.loads(sys.argv[1])
known = importlib.metadata.version
def find(name):
    if name in gone.values():
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)
importlib.metadata.version = find
sys.modules.update(dict.fromkeys(gone))
"""
"""Hides what is not installed."""
BARE = f"""{HIDE}
from seatrial.cli import run_cli
done = []
for words in commands:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = run_cli(words)
    done.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(done))
"""
"""Commands where nothing is installed that an extra brings."""
GONE = {module: distribution for module, (distribution, _) in LIBRARIES.items()}


def run_bare(*commands: Sequence[str]) -> list[tuple[int, str, str]]:
    """The exit code of each command, what it printed and what it said on stderr."""
    words = [sys.executable, "-c", BARE, json.dumps([GONE, commands])]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [(code, out, err) for code, out, err in json.loads(done.stdout)]


NEEDED = (
    ("recipes check timm:resnet50", "torch"),
    ("recipes list hf:{hub}", "hf"),
    ("run {graph} --like {card} --images {images} --labels {labels} --output {out}", "trial"),
    ("run {card} --checkpoint {checkpoint} --images {images} --labels {labels} --output {out}", "trial"),
    ("train {card} --synthetic --output {out}", "torch"),
    ("export {card} --checkpoint {checkpoint} --output {out}/model.onnx", "torch"),
    ("quantize {graph} --calibration {images} --output {out}/model.onnx", "trial"),
    ("compile {graph} --engine onnxruntime --output {out}", "cpu"),
    ("infer {engine} --input {images} --output {out}", "cpu"),
    ("evaluate {engine} --images {images} --labels {labels} --output {out}", "trial"),
    ("diagnose {run}", "trial"),
    ("bench {engine} --output {out}/bench.json", "cpu"),
    ("load-test {engine} --scenario offline --output {out}/load.json", "mlperf"),
    ("compare {predictions} {predictions}", "trial"),
    ("compare {run} {run}", "trial"),
    ("board {run} --output {out}/board.html", "trial"),
    ("package {run} --engine onnxruntime --output {out}", "trial"),
    ("report {run}", "trial"),
    ("ui {run}", "ui"),
    ("demo --output {out}", "demo"),
    ("data make-demo {out}", "demo"),
)
"""A command that would work, and the extra that it is told to install."""


def read_name(requirement: str) -> str:
    return re.split(r"[\[<>=;~! ]", requirement, maxsplit=1)[0]


def test_the_table_is_that_of_the_project() -> None:
    extras = {name: {read_name(line) for line in lines} for name, lines in PROJECT["optional-dependencies"].items()}
    extras.pop("gpu")  # Another build of what `cpu` brings, under the same name.
    stated = {(name, extra) for extra, names in extras.items() for name in names if name != "seatrial"}
    assert stated == set(LIBRARIES.values())


def test_whatever_an_engine_needs_comes_with_its_extra() -> None:
    extras = PROJECT["optional-dependencies"]
    for name in ("report", "cpu", "gpu", "torch", "openvino", "tensorrt", "ui"):
        assert "seatrial[trial]" in extras[name]


def test_a_bare_install_imports_nothing_that_an_extra_brings(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    for image, scores in (("one", "0.0 1.0"), ("two", "1.0 0.0")):
        (tmp_path / "predictions" / f"{image}_0.txt").write_text(scores)
    (tmp_path / "labels.txt").write_text("one.JPEG 1\ntwo.JPEG 0\n")
    score = ("score", str(tmp_path / "predictions"), str(tmp_path / "labels.txt"), str(tmp_path), "result.json")
    card = tmp_path / "card.toml"
    card.write_text('base = "resnext50_32x4d"\nname = "mine"\n')
    words = ("--help",), ("doctor",), ("recipes",), ("recipes", "show", str(card)), score
    done = run_bare(*words)
    assert [code for code, _, _ in done] == [0] * len(words), done
    assert "onnxruntime is not installed; pip install 'seatrial[cpu]'" in done[1][1]
    assert "100.00%" in done[-1][1]


def test_every_other_verb_names_the_extra_in_one_line(tiny_run: Path, tiny_trial: TinyTrial, tmp_path: Path) -> None:
    place = {
        "out": tmp_path / "out",
        "images": tiny_trial.images,
        "labels": tiny_trial.labels,
        "card": tiny_trial.card,
        "checkpoint": tiny_trial.checkpoint,
        "graph": tiny_run / "model.onnx",
        "engine": tiny_run / "engines" / "onnxruntime",
        "predictions": tiny_run / "evaluation" / "onnxruntime.parquet",
        "run": tiny_run,
        "hub": tmp_path / "hub",
    }
    place["hub"].mkdir()
    described = {"model_type": "resnet", "architectures": ["ResNetForImageClassification"]}
    (place["hub"] / "config.json").write_text(json.dumps(described))
    commands = [[word.format(**place) for word in line.split()] for line, _ in NEEDED]
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}
    wrong = []
    for (line, extra), (code, _, said) in zip(NEEDED, run_bare(*commands), strict=True):
        last = said.splitlines()[-1]
        if code != 5 or not last.startswith("seatrial: ") or f"pip install 'seatrial[{extra}]'" not in last:
            wrong.append((line, code, said))
    assert not wrong, "\n".join(map(str, wrong))
    # An engine is only opened under the lock of the folder that its results go to.
    assert list((tmp_path / "out").rglob("*")) == []
    assert before == {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}


@pytest.mark.parametrize(("gone", "extra"), [(GONE, "cpu"), ({"onnx": "onnx"}, "trial")])
def test_the_checks_of_an_engine_name_the_extra_in_one_line(gone: dict[str, str], extra: str) -> None:
    script = f"{HIDE}\nsys.argv[1:] = commands\nrunpy.run_module('seatrial.testing', run_name='__main__')"
    words = [sys.executable, "-c", script, json.dumps([gone, ["onnxruntime"]])]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert done.stderr.startswith("seatrial: ") and done.stderr.count("\n") == 1
    assert f"pip install 'seatrial[{extra}]'" in done.stderr


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_library_leads_to_its_extra(library: str) -> None:
    with (
        pytest.raises(
            EngineError, match=rf"which tries, is not installed; pip install 'seatrial\[{LIBRARIES[library][1]}\]'"
        ),
        naming_extras("tries"),
    ):
        raise ModuleNotFoundError(f"No module named '{library}.part'", name=f"{library}.part")


def test_another_module_that_is_missing_is_no_extra() -> None:
    with pytest.raises(ModuleNotFoundError), naming_extras():
        raise ModuleNotFoundError("No module named 'theirs'", name="theirs")


def test_the_api_says_the_same() -> None:
    code = "import sys\nsys.modules['pyarrow'] = None\nfrom seatrial import api\napi.report('run')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    *_, last = done.stderr.splitlines()
    assert last.startswith("seatrial.errors.EngineError: pyarrow is not installed; pip install 'seatrial[trial]'")


@pytest.mark.parametrize("name", [name for name in api.__all__ if inspect.isfunction(getattr(api, name))])
def test_every_function_of_the_api_does(name: str) -> None:
    function = getattr(api, name)
    assert inspect.getsource(inspect.unwrap(function)).startswith("@naming_extras()") and hasattr(
        function, "__wrapped__"
    )
