"""What the page on daily use says is run, on the miniature trial."""

import re
import shutil
from pathlib import Path

import pytest

from pages import read_commands, read_page
from seatrial.cli import run_cli
from tiny_trial import TinyTrial

PAGE = read_page("docs/daily-use.md")
COMMANDS = read_commands("docs/daily-use.md")
BRIEF = ("--batch-size", "1,2", "--bench-duration", "0.01", "--bench-samples", "2")
"""As the run was measured before."""


@pytest.fixture(autouse=True)
def _place(tiny_run: Path, tiny_trial: TinyTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which the page's names exist."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_run, "trial")
    Path("imagenet").symlink_to(tiny_trial.folder)
    Path("my-card.toml").symlink_to(tiny_trial.card)
    Path("my-weights.pth").symlink_to(tiny_trial.checkpoint)
    (config,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    Path("run.toml").write_text(config.replace("0.76", "0.05"))


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words))
def test_a_command_of_the_page_runs(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli([*words, *(BRIEF if words[0] == "run" and "--print-config" not in words else ())]) == 0
    shown = capsys.readouterr()
    if "--print-config" in words:
        _, _, text = shown.out.partition("\n")
        assert text.replace("0.05", "0.76") in PAGE
    if "--dry-run" in words:
        assert shown.out.splitlines()[-1] == "every stage is done; the verdict and the report are written anew"
    if "--time-budget" in words:
        assert "    budget  20m: all that it allows is measured already" in shown.err
