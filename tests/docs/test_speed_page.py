"""What the page on speed says is run, and the figures on it are those that were printed."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial.bench import output_checks, spread, sweep
from seatrial.bench.measure import Limits
from seatrial.cli import run_cli
from seatrial.metrics.rate import BLOCKS
from seatrial.workflow.bench import PROCESSES
from tiny_trial import TinyTrial

ROOT = Path(__file__).parents[2]
LIMITS = Limits()
PAGE = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "benchmarks" / "results" / "bench_statistics.txt").read_text(encoding="utf-8")


def read_commands() -> list[list[str]]:
    """The `seatrial` lines of the page's console blocks."""
    lines = "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)).splitlines()
    return [shlex.split(line.removeprefix("$ "))[1:] for line in lines if line.startswith("$ seatrial ")]


@pytest.fixture(scope="module")
def _place(tiny_trial: TinyTrial, tiny_engines: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "imagenet").symlink_to(tiny_trial.folder)
    shutil.copytree(tiny_engines / "engines", folder / "engines")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.usefixtures("_place")
@pytest.mark.parametrize("words", read_commands(), ids=lambda words: " ".join(words)[-40:])
def test_a_command_of_the_page_runs(words: list[str]) -> None:
    if "--loop" in words:
        words = [*words, "--loop", "3"]
    else:
        words = [*words, "--duration", "0.01", "--min-samples", "2", "--processes", "1"]
    assert run_cli(words) == 0
    assert Path(words[words.index("--output") + 1]).exists()


def test_the_table_is_what_was_printed() -> None:
    printed = RESULTS.strip().split("\n\n")
    assert [block for block in printed if f"```\n{block}\n```" not in PAGE] == []
    assert [block.splitlines()[-1] for block in printed] == [
        "ours is outside 93% to 97% in 0 of 6 judged lines",
        "sequential stopping holds the truth too rarely in 0 of 7 lines",
    ]


def test_the_rules_on_the_page_are_those_of_the_code() -> None:
    assert (PROCESSES, BLOCKS, LIMITS.duration_s, LIMITS.min_samples) == (5, 10, 5.0, 50)
    assert (spread.BUSY, spread.NOISE, spread.SWAPPED, spread.P99_SAMPLES, spread.CLOCK_STEPS) == (
        0.2,
        0.05,
        0.01,
        459,
        1000,
    )
    assert (
        output_checks.OF_SPREAD,
        output_checks.OF_ITSELF,
        output_checks.ROUNDING["fp32"],
        output_checks.COARSE_ROUNDING,
    ) == (
        0.05,
        10,
        1e-3,
        1e-2,
    )
    assert (output_checks.FASTER, output_checks.SIGNIFICANCE, output_checks.PAIRS_TO_JUDGE, sweep.GAIN) == (
        1.1,
        0.001,
        10,
        1.02,
    )
    assert LIMITS.steady_within == 0.03 and LIMITS.warmup_budget_s == 10
