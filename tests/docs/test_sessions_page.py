"""The sessions of the tutorial and of the page on three trials: run from an empty folder on, on some of the digits."""

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pages import read_files, read_sessions
from seatrial.cli import run_cli
from seatrial.data import demo

PAGES = ("docs/tutorial.md", "docs/sessions.md")
OF_EACH_DIGIT = 6
FAST = {
    "train": ("--epochs", "1", "--max-train-steps", "1", "--batch-size", "8"),
    "run": ("--engines", "openvino", "--batch-size", "1", "--bench-duration", "0.01", "--bench-samples", "2"),
    "package": ("--unproven",),
}
UNSEEN = ("PASS:", "…", "onnxruntime", "The")
"""First words of lines that a few digits and one engine do not give; two samples may leave open which is fastest."""
SESSIONS = [(page, words, shown) for page in PAGES for words, shown in read_sessions(page)]
NAMES = [f"{Path(page).stem} {' '.join(words)[:40]}" for page, words, _ in SESSIONS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder; the demo draws some of its digits."""
    images, labels = demo._load_digits()
    few = np.concatenate([np.flatnonzero(labels == digit)[:OF_EACH_DIGIT] for digit in range(10)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "_load_digits", lambda: (images[few], labels[few]))
        patch.setattr(demo, "CALIBRATION", 8)
        yield tmp_path_factory.mktemp("session")


@pytest.fixture
def place(folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A page's own folder, with the Python files that it shows."""
    page = request.getfixturevalue("page")
    of_page = folder / Path(page).stem
    of_page.mkdir(exist_ok=True)
    for name, text in read_files(page):
        (of_page / name).write_text(text)
    monkeypatch.chdir(of_page)
    monkeypatch.syspath_prepend(of_page)
    yield
    for name, _ in read_files(page):
        sys.modules.pop(Path(name).stem, None)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("page", "words", "shown"), SESSIONS, ids=NAMES)
def test_a_session_goes_as_shown(
    page: str, words: list[str], shown: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
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
    unseen = {line.split()[0] for line in shown} - first_words - set(UNSEEN)
    assert (shown or "--output" in words) and not {word for word in unseen if not word.isdecimal()}


@pytest.mark.parametrize(
    ("page", "models", "files"),
    [
        ("docs/tutorial.md", ["py", "py", "onnx"], ["mine.py"]),
        ("docs/sessions.md", ["timm", "py", "onnx"], ["nets.py", "train.py"]),
    ],
)
def test_a_page_has_a_session_of_each_kind(page: str, models: list[str], files: list[str]) -> None:
    runs = [words[2] for words, _ in read_sessions(page) if words[:2] == ["seatrial", "run"]]
    assert [reference.partition(":")[0].rpartition(".")[2] for reference in runs] == models
    assert [name for name, _ in read_files(page)] == files
