"""What the page on verdicts without labels says is run."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages import read_commands
from seatrial.cli import run_cli
from seatrial.metrics.intervals import exact_bounds
from tiny_trial import TinyTrial
from unlabelled_run import BRIEFLY

PAGE = "docs/no-labels.md"


@pytest.fixture(scope="module", autouse=True)
def _place(tiny_trial: TinyTrial, unlabelled_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(unlabelled_run, folder, dirs_exist_ok=True)
    (folder / "labelled").symlink_to(tiny_trial.folder)
    (folder / "card.toml").symlink_to(tiny_trial.card)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", read_commands(PAGE), ids=lambda words: " ".join(words)[-60:])
def test_a_command_of_the_page_runs(words: list[str]) -> None:
    # Of 24 images a drop of one point is not settled.
    assert run_cli([*words, *BRIEFLY] if words[0] == "run" else words) == (7 if "--gate-pp" in words else 0)


def test_so_many_images_settle_a_gate_of_one_point() -> None:
    assert exact_bounds(0, 299)[1] < 0.01 < exact_bounds(0, 298)[1]
