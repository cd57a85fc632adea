"""What the page on choosing says is run, on the miniature trial, and its numbers are those of the code."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages import read_commands, read_page
from seatrial.cli import run_cli
from seatrial.metrics.race import ALPHA, count_needed, spend_error
from seatrial.store.choice import Choice
from seatrial.workflow.choose import measuring, race
from seatrial.workflow.choose.candidates import MIXED_LIMIT, MIXED_SHARE
from seatrial.workflow.choose.latency import LOOKS
from seatrial.workflow.choose.measuring import HELD_SHARE, MOST_HELD, SHORT_LOOKS
from seatrial.workflow.choose.race import (
    FINALISTS,
    LEAST_FINALISTS,
    LEAST_PROCESSES,
    LEAST_ROUNDS,
    MARGIN,
    MOST_ROUNDS,
    ROUNDS,
    SCREENINGS,
)
from seatrial.workflow.choose.stage import NEAR, TOLERANCE
from seatrial.workflow.run_spec import BATCH_SIZES
from tiny_trial import TinyTrial

PAGE = "docs/choose.md"


@pytest.fixture(scope="module", autouse=True)
def place(tiny_trial: TinyTrial, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the page's names exist; processes are short."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(tiny_run, folder / "trial")
    (folder / "imagenet").symlink_to(tiny_trial.folder)
    (folder / "my-card.toml").symlink_to(tiny_trial.card)
    (folder / "my-weights.pth").symlink_to(tiny_trial.checkpoint)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(measuring, "DURATION_S", 0.01)
        patch.setattr(measuring, "CONFIRM_S", 0.01)
        patch.setattr(measuring, "SCREEN_S", 0.01)
        for name in ("ROUNDS", "LEAST_ROUNDS", "LEAST_PROCESSES"):
            patch.setattr(race, name, 2)
        yield folder


def test_the_commands_of_the_page_run(place: Path) -> None:
    run, reference = read_commands(PAGE)
    assert run_cli([*run, "--engines", "openvino:fp32", "--batch-size", "1,2"]) == 0
    chosen = Choice.load(place / "trial" / "choice.json")
    assert chosen.complete and chosen.chosen is not None and chosen.chosen.candidate == "openvino"
    assert run_cli(reference) == 0
    smallest = Choice.load(place / "chosen" / "choice.json")
    assert smallest.chosen is not None and smallest.settings == ()


def test_the_numbers_on_the_page_are_those_of_the_code() -> None:
    page = " ".join(read_page(PAGE).split())
    assert (SCREENINGS, ROUNDS, 2 * MOST_ROUNDS, LEAST_ROUNDS, NEAR, ALPHA) == (4, 6, 18, 3, 1.5, 0.05)
    assert (FINALISTS, LEAST_FINALISTS, LEAST_PROCESSES, MARGIN, TOLERANCE) == (6, 3, 3, 1.2, 1.03)
    assert (HELD_SHARE, MOST_HELD, SHORT_LOOKS) == (0.25, 4 * 2**30, 2)
    assert count_needed(99, spend_error(1) / len(LOOKS)) == 477 and LOOKS[-1] == 4
    assert (MIXED_SHARE, MIXED_LIMIT, BATCH_SIZES) == (0.25, 0.5, (1, 4, 8, 16))
    for words in (
        "after 6 rounds", "18 rounds", "within 1.5 times", "0.3 s", "0.1 s", "no more than 5 %", "1.2 times as long",
        "6 of them at most, and 3 at least", "1.03 times", "3 processes at least", "477 batches", "after 3 or 4 rounds",
    ):  # fmt: skip
        assert words in page
