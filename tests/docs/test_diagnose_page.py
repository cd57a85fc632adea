"""What the page on diagnosing says is run, and its figures are those in the code."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.evaluation.compare_logits import PER_IMAGE
from seatrial.metrics.noise_floor import FLOORS, MANTISSA_BITS, ROUNDINGS, SAME_INT8
from tiny_trial import TinyTrial

PAGE = (Path(__file__).parents[2] / "docs" / "diagnose.md").read_text(encoding="utf-8")


def read_commands() -> list[list[str]]:
    """The `seatrial` lines of the page's console block."""
    lines = re.findall(r"^\$ (seatrial .+)$", PAGE, re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


@pytest.fixture(scope="module", autouse=True)
def _place(tiny_trial: TinyTrial, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "imagenet").symlink_to(tiny_trial.folder)
    shutil.copy(tiny_trial.card, folder / "my-card.toml")
    shutil.copytree(tiny_run, folder / "trial")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", read_commands(), ids=lambda words: " ".join(words)[:50])
def test_a_command_of_the_page_runs(words: list[str]) -> None:
    assert run_cli(words) == 0


def test_the_floors_are_those_of_the_code() -> None:
    printed = dict(re.findall(r"^\| ([^|]+) \| (\de-\d) \|", PAGE, re.MULTILINE))
    wanted = {
        "fp32 to fp32": FLOORS["fp32"],
        "fp32 to int8": FLOORS["int8"],
        "int8 graph to an engine that runs it": SAME_INT8,
    }
    assert {step: float(floor) for step, floor in printed.items()} == {
        step: floor.relative_error for step, floor in wanted.items()
    }
    assert PAGE.count(f"| {ROUNDINGS:g} × ") == 2
    assert f"{MANTISSA_BITS['bf16'] + 1} bits" in PAGE and f"{MANTISSA_BITS['fp16'] + 1} bits" in PAGE
    assert PER_IMAGE == 5 and "more than five floors" in PAGE
