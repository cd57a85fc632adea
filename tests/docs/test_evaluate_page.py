"""What the page on evaluating says is run, and its figures are those that were printed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages import ROOT, read_commands, read_page
from seatrial.cli import run_cli
from tiny_trial import make_trial

PAGE = "docs/evaluate.md"


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist."""
    folder = tmp_path_factory.mktemp("page")
    trial = make_trial(folder / "imagenet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ["--checkpoint", str(trial.checkpoint), "--output", "model.onnx"]
        assert run_cli(["export", str(trial.card), *words]) == 0
        for engine in ("openvino", "torch"):
            assert run_cli(["compile", "model.onnx", "--engine", engine, "--output", f"engines/{engine}"]) == 0
        packed = ["data", "pack", str(trial.card), str(trial.images), "--labels", str(trial.labels)]
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
