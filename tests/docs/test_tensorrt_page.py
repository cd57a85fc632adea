"""What the page on TensorRT says is run, on an emulated GPU."""

import re
from collections.abc import Iterator

import pytest

from emulators.tensorrt_sdk import install_tensorrt
from pages import read_commands, read_page
from seatrial.cli import run_cli
from seatrial.engines.tensorrt.options import MAX_BATCH_SIZE, OPT_BATCH_SIZE, OPTIONS
from tiny_trial import make_trial

PAGE = read_page("docs/tensorrt.md")


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist, on a machine with a GPU."""
    folder = tmp_path_factory.mktemp("page")
    trial = make_trial(folder / "imagenet")
    trial.card.rename(folder / "my-card.toml")
    trial.checkpoint.rename(folder / "my-weights.pth")
    with pytest.MonkeyPatch.context() as patch:
        install_tensorrt(patch, folder / "sdk")
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", read_commands("docs/tensorrt.md"), ids=lambda words: " ".join(words)[:50])
def test_a_command_of_the_page_runs(words: list[str]) -> None:
    measures = ("--duration", "0.01", "--min-samples", "2") if words[0] == "bench" else ()
    assert run_cli([*words, *measures]) == 0


def test_every_option_is_on_the_page_in_the_same_words() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.split("## Options")[1].split("##")[0], re.MULTILINE)
    assert {name: text.replace("`", "") for name, text in rows} == OPTIONS
    assert f"default: {MAX_BATCH_SIZE}" in OPTIONS["max_batch_size"] and str(OPT_BATCH_SIZE) in PAGE
