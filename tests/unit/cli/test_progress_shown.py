"""What is shown while a verb works: on a terminal, in a log, and with --quiet."""

import ast
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import seatrial.cli
from seatrial.cli import run_cli
from seatrial.cli.app import make_app
from seatrial.cli.output import progress
from seatrial.progress import Update
from tiny_trial import TinyTrial

VERBS = Path(seatrial.cli.__file__).parent


def list_functions() -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """The module, every function in the modules of the verbs, and its text."""
    for path in sorted(VERBS.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef):
                yield path.stem, node, ast.get_source_segment(text, node) or ""


def test_every_verb_that_shows_progress_can_be_quiet() -> None:
    functions = list(list_functions())
    quiet = {
        (module, node.name): text
        for module, node, text in functions
        if any(isinstance(each, ast.Name) and each.id == "shows_progress" for each in node.decorator_list)
    }
    showing = [(module, node.name) for module, node, text in functions if "with show_progress(" in text]
    assert len(showing) > 20
    for module, name in showing:
        callers = [verb for verb, text in quiet.items() if verb[0] == module and f"{name}(" in text]
        assert (module, name) in quiet or callers, f"{module}.{name} shows progress and is of no verb with --quiet"


@pytest.mark.parametrize("verb", ["run", "evaluate", "train", "data pack", "recipes fetch", "check-app judge"])
def test_the_option_is_in_the_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli([*verb.split(), "--help"]) == 0
    assert "--quiet" in capsys.readouterr().out


def run_in_terminal(options: Sequence[str], words: Sequence[str], say: Callable[[str], str]) -> tuple[int, str]:
    """The exit code of a command on a terminal, and everything that it shows there.

    Args:
        say: gets what was shown so far, and returns what is typed.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, *options, "-m", "seatrial", *words])
    shown, end = "", time.monotonic() + 60
    while time.monotonic() < end and select.select([terminal], [], [], 60)[0]:
        try:
            shown += os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # It has ended.
            break
        os.write(terminal, say(shown).encode())
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown


def test_a_verb_says_that_it_has_begun_before_it_loads_anything() -> None:
    words = ["evaluate", "engine", "--images", "images", "--output", "out"]
    code, shown = run_in_terminal(["-X", "importtime"], words, lambda shown: "")
    assert code == 2 and shown.count("  evaluate  loading …") == 1
    before, _, after = shown.partition("  evaluate  loading …")
    assert re.search(r"\| +seatrial.cli.app\r", before)
    for heavy in ("numpy", "pydantic", "PIL", "torch", "rich.progress"):
        assert not re.search(rf"\| +{heavy}\r", before)
    assert " seatrial.strict" not in before and " seatrial.strict" in after
    assert "\x1b[2K" in after and after.splitlines()[-1].startswith("seatrial: engine is no engine folder")


def test_ctrl_c_on_a_terminal_says_the_very_command(tiny_engines: Path, tiny_trial: TinyTrial, tmp_path: Path) -> None:
    words = ["evaluate", str(tiny_engines / "engines" / "onnxruntime"), "--images", str(tiny_trial.images)]
    words += ["--labels", str(tiny_trial.labels), "--output", f"{tmp_path}/an evaluation", "--fake-images", "1000000"]
    typed: list[str] = []

    def stop(shown: str) -> str:
        if all(part in shown for part in (" images/s ", "/1000000", " left")) and not typed:
            typed.append("\x03")
            return "\x03"
        return ""

    code, shown = run_in_terminal([], words, stop)
    assert code == 130
    told = f"seatrial: stopped; the same command resumes: seatrial {' '.join(words)}".replace(
        f"{tmp_path}/an evaluation", f"'{tmp_path}/an evaluation'"
    )
    assert told in shown.replace("\r\n", "")
    assert "/1000000" in shown and " left" in shown


def test_a_log_has_a_first_line_and_a_quiet_one_has_none(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    words = ["data", "pack", str(tiny_trial.card), str(tiny_trial.images), "--labels", str(tiny_trial.labels)]
    shown = {}
    for name, quiet in (("said", []), ("root", ["--quiet"]), ("own", [])):
        options = ["-q"] if name == "own" else []
        command = [sys.executable, "-m", "seatrial", *quiet, *words, *options, "--output", str(tmp_path / name)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        shown[name] = ran.stderr
    assert shown["said"].startswith("      pack  begun\n") and shown["root"] == shown["own"] == ""


def test_a_verb_may_be_quiet_whatever_it_calls(capsys: pytest.CaptureFixture[str]) -> None:
    @progress.shows_progress
    def inner_verb(number: int) -> int:
        with progress.show_progress() as show:
            show(Update("count", note=str(number)))
        return number + 1

    @progress.shows_progress
    def outer_verb() -> int:
        return inner_verb(1)

    assert outer_verb() == 2
    assert capsys.readouterr().err == "     count  1\n"
    assert outer_verb(quiet=True) == 2  # type: ignore[call-arg]
    assert capsys.readouterr().err == ""
    assert outer_verb() == 2
    assert capsys.readouterr().err == "     count  1\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("run x --images y", "       run  begun\n"),
        ("data pack x", "      pack  begun\n"),
        ("run-many x", "  run-many  begun\n"),
        ("simplify a.onnx b.onnx", "  simplify  begun\n"),
        ("recipes check timm:resnet18", "     check  begun\n"),
        ("data make-demo x", " make-demo  begun\n"),
        ("run x -q", ""),
        ("--quiet run x", ""),
        ("run --help", ""),
        ("recipes show x", ""),
        ("recipes schema", ""),
        ("nothing", ""),
        ("--version", ""),
        ("", ""),
    ],
)
def test_what_shows_progress_begins_with_a_word(words: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    progress.announce(make_app(), words.split())
    assert capsys.readouterr().err == told


def test_quiet_is_of_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["--quiet", "recipes", "--json"]) == 0
    with progress.show_progress() as show:
        show(Update("count", note="aloud"))
    assert capsys.readouterr().err == "     count  aloud\n"
