"""What the page on evaluating says is run, and its figures are those that were printed."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages import ROOT, read_commands, read_page
from seatrial.cli import run_cli
from tiny_trial import TinyTrial

PAGE = "docs/evaluate.md"


@pytest.fixture(scope="module", autouse=True)
def _place(tiny_trial: TinyTrial, tiny_engines: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "imagenet").symlink_to(tiny_trial.folder)
    shutil.copytree(tiny_engines / "engines", folder / "engines")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        packed = ["data", "pack", str(tiny_trial.card), str(tiny_trial.images), "--labels", str(tiny_trial.labels)]
        assert run_cli([*packed, "--output", "val.pack"]) == 0
        yield


@pytest.mark.parametrize("words", read_commands(PAGE), ids=lambda words: " ".join(words)[-60:])
def test_a_command_of_the_page_runs(words: list[str]) -> None:
    assert run_cli(words) == 0
    name = Path(words[1]).name
    stored = {path.name for path in Path(words[words.index("--output") + 1]).iterdir()}
    assert stored >= {f"{name}.parquet", f"{name}.json", f"{name}.throughput.json"}


def test_the_figures_are_those_that_were_printed() -> None:
    printed = (ROOT / "benchmarks" / "results" / "evaluate.txt").read_text(encoding="utf-8").splitlines()
    shown = re.split(r"^```.*\n", read_page(PAGE), flags=re.MULTILINE)[1::2]
    shown = [block for block in shown if not block.startswith("$")]
    lines = [line for block in shown for line in block.splitlines()]
    assert lines and set(lines) <= set(printed)
