"""What the page on Ascend says is run, on an emulated machine."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ascend_machine import emulate_ascend
from pages import read_commands, read_page
from seatrial.cli import run_cli
from seatrial.engines.ascend.options import OPTIONS
from tiny_trial import make_trial

PAGE = read_page("docs/ascend.md")
AIPP = "aipp_op { aipp_mode: static input_format: RGB888_U8 mean_chn_0: 124 mean_chn_1: 116 mean_chn_2: 104 }\n"


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist, on a machine with an NPU."""
    folder = tmp_path_factory.mktemp("page")
    trial = make_trial(folder / "imagenet")
    trial.card.rename(folder / "my-card.toml")
    trial.checkpoint.rename(folder / "my-weights.pth")
    (folder / "aipp.config").write_text(AIPP)
    with emulate_ascend(folder / "cann") as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", read_commands("docs/ascend.md"), ids=lambda words: " ".join(words)[:50])
def test_a_command_of_the_page_runs(words: list[str]) -> None:
    measures = ("--duration", "0.01", "--min-samples", "2") if words[0] == "bench" else ()
    assert run_cli([*words, *measures]) == 0


def test_the_printed_atc_line_is_the_one_that_was_run() -> None:
    printed = next(line for line in PAGE.splitlines() if line.startswith("atc --framework"))
    log = Path("npu-aipp/atc.log").read_text().splitlines()[0].removeprefix("$ ")
    assert re.sub(r"--model=\S+", "", log) == re.sub(r"--model=\S+", "", printed.replace("224", "32"))


def test_every_option_is_on_the_page() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE.split("## Options")[1].split("##")[0], re.MULTILINE) == list(OPTIONS)
