"""Completion as shells ask for it: by typer's protocol, in a process of its own, and through the script itself."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from seatrial import cli
from seatrial.cli.completion import join_words
from seatrial.engines.base import Capabilities
from seatrial.models.sources.library import load_descriptions
from seatrial.store import descriptions
from seatrial.workflow import compile

Complete = Callable[[str, int], list[str]]
HEAVY = ("torch", "timm", "torchvision", "numpy", "onnx", "onnxruntime", "openvino", "PIL")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home and a cache in which three models of timm and two engines are known."""
    cache = tmp_path / "cache" / "seatrial"
    cache.mkdir(parents=True)
    models = {"resnet50.a1_in1k": {"num_classes": 1000}, "resnet18.a1_in1k": {"num_classes": 1000}}
    text = json.dumps({**models, "resnet50.features": {"num_classes": 0}})
    (cache / f"timm-{version('timm')}-{descriptions.LAYOUT}.json").write_text(text)
    (cache / descriptions.ENGINES).write_text(
        json.dumps({"openvino": [["fp32", "bf16"], ["cpu"]], "torch": [["fp32"], ["cpu", "cuda:0"]]})
    )
    changes = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    return {**os.environ, **changes, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}


@pytest.fixture
def complete(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Complete:
    """What bash gets for the word at a place of a command line."""
    monkeypatch.setenv("XDG_CACHE_HOME", environment["XDG_CACHE_HOME"])

    def ask(words: str, place: int) -> list[str]:
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(place), "_SEATRIAL_COMPLETE": "complete_bash"}
        for name, value in asked.items():
            monkeypatch.setenv(name, value)
        assert cli.complete() == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        return shown.out.split()

    return ask


@pytest.mark.parametrize(
    ("words", "place", "found"),
    [
        ("seatrial eva", 1, ["evaluate"]),
        ("seatrial data ma", 2, ["make-demo"]),
        ("seatrial run --dry", 2, ["--dry-run"]),
        ("seatrial run resnext", 2, ["resnext50_32x4d"]),
        ("seatrial run ti", 2, ["timm:"]),
        # What bash has broken at a colon is put together, and only the last part is told.
        ("seatrial run timm : resnet5", 4, ["resnet50.a1_in1k"]),
        ("seatrial run timm :", 3, ["resnet18.a1_in1k", "resnet50.a1_in1k"]),
        ("seatrial run x --like timm : resnet1", 6, ["resnet18.a1_in1k"]),
        ("seatrial run x --engines onnx", 4, ["onnxruntime"]),
        ("seatrial run x --engines torch,open", 4, ["torch,openvino", "torch,openvino:fp32", "torch,openvino:bf16"]),
        ("seatrial run x --engines torch,openvino : b", 6, ["bf16", "bf16@cpu"]),
        ("seatrial run x --engines torch @ cu", 6, ["cuda:0"]),
        ("seatrial run x --engines = openv", 5, ["openvino", "openvino:fp32", "openvino:bf16"]),
        ("seatrial compile graph.onnx --engine t", 4, ["torch", "tensorrt"]),
        ("seatrial compile graph.onnx --precision b", 4, ["bf16"]),
        ("seatrial report trial --format ju", 4, ["junit"]),
        ("seatrial train x --optim", 3, ["--optimizer"]),
        ("seatrial run x --images ", 4, []),
    ],
)
def test_bash(words: str, place: int, found: list[str], complete: Complete) -> None:
    completed = complete(words, place)
    assert [word for word in completed if "@" not in word or any("@" in each for each in found)] == found


@pytest.mark.parametrize(
    ("words", "place", "shown"),
    [
        ("seatrial run ti", 2, "timm:\n"),
        ("seatrial run timm : resnet18", 4, "resnet18.a1_in1k \n"),
        ("seatrial eva", 1, "evaluate \n"),
        ("seatrial run x --engines tens", 4, "tensorrt\n"),
        ("seatrial doctor tens", 2, "tensorrt \n"),
    ],
)
def test_what_may_go_on_gets_no_blank(
    words: str, place: int, shown: str, complete: Complete, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    complete(words, place)
    monkeypatch.setenv("_SEATRIAL_COMPLETE_ENDS", "1")
    assert cli.complete() == 0
    assert capsys.readouterr().out == shown


def test_no_file_is_in_the_place_of_an_engine(complete: Complete, monkeypatch: pytest.MonkeyPatch) -> None:
    complete("seatrial doctor ascend :", 3)
    monkeypatch.setenv("_SEATRIAL_COMPLETE_ENDS", "1")
    assert cli.complete() == 3
    monkeypatch.setenv("COMP_WORDS", "seatrial run x --images va")
    assert cli.complete() == 0


def test_torchvision_is_completed_though_it_states_a_figure_that_is_none(
    complete: Complete, environment: dict[str, str]
) -> None:
    """acc@1 of vgg16's features is NaN, which once made the whole list unreadable."""
    facts = {"categories": ["cat"], "metrics": {"acc@1": float("nan")}}
    described = {"resnet18/V1": facts, "resnet18/FEATURES": {"categories": [], "metrics": None}}
    load_descriptions("torchvision", lambda: described)
    assert load_descriptions("torchvision", dict)["resnet18/V1"]["metrics"] == {"acc@1": None}
    assert complete("seatrial run torchvision : resnet1", 4) == ["resnet18/V1"]


def test_an_engine_that_cannot_be_used_now_keeps_what_was_found(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", environment["XDG_CACHE_HOME"])
    path = Path(environment["XDG_CACHE_HOME"]) / "seatrial" / descriptions.ENGINES
    before = json.loads(path.read_text())
    monkeypatch.setattr(compile, "_probe_engine", lambda name: Capabilities(name, None, missing="no such module"))
    compile.probe_engines()
    assert json.loads(path.read_text()) == before
    found = Capabilities("torch", "2.9", ("cpu",), ("fp32", "bf16"))
    monkeypatch.setattr(compile, "_probe_engine", lambda name: found if name == "torch" else Capabilities(name, None))
    compile.probe_engines()
    assert json.loads(path.read_text()) == before | {"torch": [["fp32", "bf16"], ["cpu"]]}


def test_a_shell_without_completion_is_usage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert cli.run_cli(["--install-completion", "sh"]) == 2
    told = "seatrial: there is no completion for 'sh'; name one of bash, zsh, fish, powershell, pwsh, such as seatrial"
    assert capsys.readouterr().err.startswith(told)


def test_what_is_not_in_the_cache_is_not_looked_for(
    complete: Complete, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    assert complete("seatrial run timm : res", 4) == []
    assert complete("seatrial run x --engines open", 4) == ["openvino"]


def test_no_library_is_loaded_and_it_is_quick(environment: dict[str, str]) -> None:
    code = (
        "import sys, atexit\natexit.register(lambda: print(sorted(set(sys.modules) & "
        f"{set(HEAVY)!r}), file=sys.stderr))\nfrom seatrial.__main__ import main\nmain()"
    )
    asked = {"COMP_WORDS": "seatrial run timm : res", "COMP_CWORD": "4", "_SEATRIAL_COMPLETE": "complete_bash"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**environment, **asked}, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ran.stderr == "[]\n" and "resnet50.a1_in1k" in ran.stdout
    # Processor time, as other tests run beside it.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize(
    ("shell", "more", "told"),
    [
        ("zsh", {}, '"timm\\\\:resnet50.a1_in1k"'),
        ("fish", {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}, "timm:resnet50.a1_in1k"),
    ],
)
def test_other_shells(shell: str, more: dict[str, str], told: str, environment: dict[str, str]) -> None:
    asked = {"_TYPER_COMPLETE_ARGS": "seatrial run timm:resnet5", "_SEATRIAL_COMPLETE": f"complete_{shell}", **more}
    command = [sys.executable, "-m", "seatrial"]
    ran = subprocess.run(command, env={**environment, **asked}, capture_output=True, text=True, check=True)
    assert told in ran.stdout and "resnet18" not in ran.stdout


@pytest.mark.parametrize(
    ("line", "place", "words", "at"),
    [
        ("seatrial run timm : res", 4, ["seatrial", "run", "timm:res"], 2),
        ("seatrial run timm :", 3, ["seatrial", "run", "timm:"], 2),
        ("seatrial run x", 3, ["seatrial", "run", "x"], 3),
        ("seatrial run --gate 'a : b' --en", 4, ["seatrial", "run", "--gate", "'a : b'", "--en"], 4),
        ("seatrial --engines = torch @ cuda : 0", 7, ["seatrial", "--engines=torch@cuda:0"], 1),
        ("", 0, [], 0),
    ],
)
def test_words_that_bash_broke_are_put_together(line: str, place: int, words: list[str], at: int) -> None:
    assert join_words(line, place) == (words, at)


def test_the_script_that_is_installed_completes_in_bash(environment: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "bin" / "seatrial"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m seatrial "$@"\n')
    program.chmod(0o755)
    environment |= {"PATH": f"{program.parent}:{environment['PATH']}"}
    ran = subprocess.run(
        [str(program), "--install-completion", "bash"], env=environment, capture_output=True, text=True, check=True
    )
    script = tmp_path / ".bash_completions" / "seatrial.sh"
    assert str(script) in ran.stdout and str(script) in (tmp_path / ".bashrc").read_text()
    shown = subprocess.run([str(program), "--show-completion", "bash"], env=environment, capture_output=True, text=True)
    assert (shown.returncode, shown.stdout.strip()) == (0, script.read_text().strip())
    ask = (
        'COMP_WORDS=(seatrial run timm : resnet5); COMP_CWORD=4; _seatrial_completion seatrial; echo "${COMPREPLY[*]}"'
    )
    asked = subprocess.run(
        ["bash", "--norc", "-c", f". {script}; {ask}"], env=environment, capture_output=True, text=True, check=True
    )
    assert asked.stdout == "resnet50.a1_in1k \n"
    ask = "COMP_WORDS=(seatrial doctor ascend :); COMP_CWORD=3; _seatrial_completion seatrial; echo ${#COMPREPLY[*]}"
    asked = subprocess.run(
        ["bash", "--norc", "-c", f". {script}; {ask}"], env=environment, capture_output=True, text=True, check=True
    )
    assert (asked.stdout, asked.stderr) == ("0\n", "")
