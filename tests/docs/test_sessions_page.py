"""The sessions on the page are run from an empty folder on, on some of the digits: what they type and what they see."""

import re
import runpy
import shlex
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from pages import read_page
from seatrial.cli import run_cli
from seatrial.data import demo

PAGE = read_page("docs/sessions.md")
FILES = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
OF_EACH_DIGIT = 6
FAST = {
    "train": ("--epochs", "1", "--max-train-steps", "1", "--batch-size", "8"),
    "run": ("--engines", "openvino", "--batch-size", "1", "--bench-duration", "0.01", "--bench-samples", "2"),
}
ELSEWHERE = ("PASS:", "…", "onnxruntime")
"""First words of what a few digits and one engine do not give."""


def read_sessions() -> list[tuple[list[str], list[str]]]:
    """The words of each command of the page, and the lines that it is shown to print."""
    sessions = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for part in block.replace("\\\n", " ").split("$ ")[1:]:
            command, *shown = part.splitlines()
            sessions.append((shlex.split(command), [line for line in shown if line.strip()]))
    return sessions


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty folder but for the page's Python files; the demo draws some of its digits."""
    images, labels = demo._load_digits()
    few = np.concatenate([np.flatnonzero(labels == digit)[:OF_EACH_DIGIT] for digit in range(10)])
    folder = tmp_path_factory.mktemp("session")
    for name, text in FILES:
        (folder / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "_load_digits", lambda: (images[few], labels[few]))
        patch.setattr(demo, "CALIBRATION", 8)
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        yield
        sys.modules.pop("nets", None)


SESSIONS = read_sessions()


@pytest.mark.parametrize(("words", "shown"), SESSIONS, ids=[" ".join(words)[:40] for words, _ in SESSIONS])
def test_a_session_goes_as_shown(
    words: list[str], shown: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program, verb, *_ = words
    if program == "python":
        monkeypatch.setattr(sys, "argv", [verb, "1"])
        runpy.run_path(verb, run_name="__main__")
    else:
        # So few images settle nothing.
        assert run_cli([*words[1:], *FAST.get(verb, ())]) in ((0, 7) if verb == "run" else (0,))
    printed = capfd.readouterr()
    first_words = {line.split()[0] for line in (printed.out + printed.err).splitlines() if line.strip()}
    unseen = {line.split()[0] for line in shown} - first_words - set(ELSEWHERE)
    assert shown and not {word for word in unseen if not word.isdecimal()}


def test_the_page_has_a_session_of_each_kind() -> None:
    runs = [words[2] for words, _ in SESSIONS if words[:2] == ["seatrial", "run"]]
    assert [reference.partition(":")[0].rpartition(".")[2] for reference in runs] == ["timm", "py", "onnx"]
    assert [name for name, _ in FILES] == ["nets.py", "train.py"]
