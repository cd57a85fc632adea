"""The GitHub Action: its steps are run as a runner runs them, but for what installs and for GitHub itself."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

import fake_gh
from onnx_graphs import write_linear
from tiny_trial import TinyTrial

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
"""Of `shell: bash`, as GitHub's documentation has it."""
COMMANDS = {
    "seatrial": f'#!/bin/sh\nexec "{sys.executable}" -m seatrial "$@"\n',
    "gh": f'#!/bin/sh\nexec "{sys.executable}" "{fake_gh.__file__}" "$@"\n',
    # Whatever would be installed is noted, not installed.
    "python": f'#!/bin/sh\n[ "$1" = -m ] && [ "$2" = pip ] && exec echo "$@"\nexec "{sys.executable}" "$@"\n',
}


@dataclass
class Runner:
    """A job on a pull request, whose steps are run one after the other."""

    folder: Path
    inputs: dict[str, str]
    event: dict[str, str] = field(default_factory=lambda: {"github.event.pull_request.number": "7"})
    outputs: dict[str, str] = field(default_factory=dict)
    shown: str = ""

    def run(self, **changes: str) -> int:
        """The exit code of the first step that fails, or 0."""
        for step in STEPS:
            if "run" not in step:
                continue
            code = self._run_step(step, changes)
            if code:
                return code
        return 0

    def _run_step(self, step: Mapping[str, Any], changes: Mapping[str, str]) -> int:
        output, summary = self.folder / "output.txt", self.folder / "summary.md"
        output.touch()
        environment = {name: self._fill(value) for name, value in step.get("env", {}).items()}
        files = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
        fakes = {"FAKE_GH_COMMENTS": str(self.folder / "comments.json"), **changes}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [*SHELL, "-c", step["run"]],
            env={**os.environ, **environment, **files, **fakes, "PATH": path},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        self.shown += done.stdout + done.stderr
        for line in output.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            self.outputs[f"steps.{step.get('id')}.outputs.{name}"] = value
        output.unlink()
        return done.returncode

    def _fill(self, text: str) -> str:
        """A text with each expression in its place; one that is not known is an error."""
        known = {
            **{f"inputs.{name}": value for name, value in self.inputs.items()},
            "github.action_path": str(ROOT),
            "github.repository": "owner/project",
            "github.token": "a-token",
            "runner.temp": str(self.folder),
            **self.event,
            **self.outputs,
        }
        return re.sub(r"\$\{\{ *([\w.-]+) *\}\}", lambda found: known[found[1]], text)

    @property
    def comments(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.folder / "comments.json").read_text(encoding="utf-8"))
        return found

    @property
    def summary(self) -> str:
        return (self.folder / "summary.md").read_text(encoding="utf-8")


@pytest.fixture
def runner(tiny_trial: TinyTrial, tmp_path: Path) -> Runner:
    """A checkout with the ONNX file of a network, the config of its run, and a pull request with somebody's comment."""
    (tmp_path / "bin").mkdir()
    for name, text in COMMANDS.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "comments.json").write_text(json.dumps({"1": "Nice network!"}))
    write_linear(tmp_path / "net.onnx", classes=4)
    write_config(tmp_path, tiny_trial, "top1(onnxruntime) >= 0.01")
    defaults = {name: given.get("default", "") for name, given in ACTION["inputs"].items()}
    return Runner(tmp_path, {**defaults, "config": "seatrial.toml", "token": "a-token"})


def write_config(folder: Path, trial: TinyTrial, gate: str, engine: str = "onnxruntime") -> None:
    (folder / "seatrial.toml").write_text(
        f'recipe = "net.onnx"\nlike = "{trial.card}"\nimages = "{trial.images}"\nlabels = "{trial.labels}"\n'
        f'engines = ["{engine}"]\nbatch-size = [1]\nbench-duration = 0.01\nbench-samples = 2\ngate = ["{gate}"]\n'
    )


def test_a_verdict_is_commented_once_and_its_exit_code_kept(runner: Runner, tiny_trial: TinyTrial) -> None:
    assert runner.run() == 0, runner.shown
    assert f"-m pip install --quiet --constraint {ROOT}/constraints.txt {ROOT}[cpu]" in runner.shown
    assert runner.comments["1"] == "Nice network!" and list(runner.comments) == ["1", "2"]
    mark, first, *_ = runner.comments["2"].splitlines()
    assert mark == "<!-- seatrial: seatrial-run -->" and first.startswith("**PASS: onnxruntime reaches")
    assert "| onnxruntime |" in runner.comments["2"] and first in runner.summary
    assert runner.outputs == {"steps.trial.outputs.exit-code": "0", "steps.trial.outputs.outcome": "PASS"}

    # Of the next push the gate fails: the comment is written anew.
    write_config(runner.folder, tiny_trial, "top1(onnxruntime) >= 0.99")
    assert runner.run() == 3, runner.shown
    assert list(runner.comments) == ["1", "2"] and "**FAIL: " in runner.comments["2"]
    assert runner.outputs["steps.trial.outputs.outcome"] == "FAIL"

    # And then there is no verdict: that of before is not shown again.
    runner.outputs.clear()
    write_config(runner.folder, tiny_trial, "top1(onnxruntime) >= 0.01", engine="onnxruntim")
    assert runner.run() == 2, runner.shown
    _, first, _, line = runner.comments["2"].splitlines()
    assert first == "**seatrial ended with exit code 2, before a verdict.**"
    assert line.startswith("    seatrial: there is no engine 'onnxruntim'")
    assert "steps.trial.outputs.outcome" not in runner.outputs


def test_what_may_not_comment_leaves_a_warning_and_the_verdict(runner: Runner, tiny_trial: TinyTrial) -> None:
    write_config(runner.folder, tiny_trial, "top1(onnxruntime) >= 0.99")
    assert runner.run(FAKE_GH_REFUSES="1") == 3, runner.shown
    assert "::warning::the verdict could not be written as a comment" in runner.shown
    assert list(runner.comments) == ["1"] and "**FAIL: " in runner.summary
    # Outside a pull request nothing is tried.
    runner.event = {"github.event.pull_request.number": ""}
    runner.shown = ""
    assert runner.run(FAKE_GH_REFUSES="1") == 3
    assert "::warning::" not in runner.shown


def test_no_input_is_code(runner: Runner) -> None:
    assert all("${{" not in step.get("run", "") for step in STEPS)
    runner.inputs |= {"output": '"; touch mine; echo "', "config": "$(touch mine).toml"}
    assert runner.run() == 2, runner.shown
    assert not (runner.folder / "mine").exists()


def test_whatever_it_names_is_there() -> None:
    named = set(re.findall(r"inputs\.([\w-]+)", json.dumps(ACTION["runs"])))
    assert named == set(ACTION["inputs"])
    outputs = " ".join(value["value"] for value in ACTION["outputs"].values())
    written = set(re.findall(r'echo "([\w-]+)=', " ".join(step.get("run", "") for step in STEPS)))
    assert set(re.findall(r"steps\.trial\.outputs\.([\w-]+)", outputs)) == written
    assert [step["uses"] for step in STEPS if "uses" in step] == ["actions/setup-python@v6"]
    assert all(step["shell"] == "bash" for step in STEPS if "run" in step)
