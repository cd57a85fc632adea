"""What the page on many runs says is run, on a network of a few weights."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from pages import read_commands, read_page
from seatrial.cli import run_cli
from seatrial.store.run_many import RunManyRecord
from seatrial.workflow import run_many
from tiny_trial import TinyTrial
from unlabelled_run import BRIEFLY

PAGE = "docs/board.md"


def run_here(command: Sequence[str], log: int, limit_s: float) -> int:
    """Take the place of a process: the same words, but measured briefly."""
    words = [*command[command.index("run") :], *BRIEFLY]
    with os.fdopen(os.dup(log), "w") as file, redirect_stdout(file), redirect_stderr(file):
        return run_cli(words)


@pytest.fixture(scope="module", autouse=True)
def _place(tiny_trial: TinyTrial, unlabelled_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "imagenet").symlink_to(tiny_trial.folder)
    (folder / "card.toml").symlink_to(tiny_trial.card)
    (folder / "last-week").symlink_to("trials")
    (folder / "exports").mkdir()
    for name in ("small", "huge"):
        shutil.copy(unlabelled_run / "net.onnx", folder / "exports" / f"{name}.onnx")
    (block,) = re.findall(r"```toml\n(.*?)```", read_page(PAGE), re.DOTALL)
    (folder / "list.toml").write_text(block)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(run_many, "_wait_for", run_here)
        yield


@pytest.mark.parametrize("words", read_commands(PAGE), ids=lambda words: " ".join(words))
def test_a_command_of_the_page_runs(words: list[str]) -> None:
    assert run_cli(words) == 0
    if words[0] != "run-many":
        return
    cells = RunManyRecord.load(Path("trials/run-many.json")).cells
    assert [(cell.name, cell.outcome) for cell in cells] == [
        ("exports-huge.onnx", "skipped"),
        ("exports-small.onnx", "PASS"),
    ]
    assert "exports-small.onnx" in Path("trials/board.html").read_text()
    assert "PASS" in Path("trials/logs/exports-small.onnx.log").read_text()
