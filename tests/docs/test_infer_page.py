"""What the page on `infer` says is run, and prints what it shows."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages import read_commands, read_page
from seatrial.cli import run_cli
from tiny_trial import make_trial

PAGE = read_page("docs/infer.md")


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist."""
    folder = tmp_path_factory.mktemp("page")
    trial = make_trial(folder / "imagenet")
    trial.card.rename(folder / "my-card.toml")
    trial.checkpoint.rename(folder / "my-weights.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", read_commands("docs/infer.md"), ids=lambda words: " ".join(words)[:50])
def test_a_command_of_the_page_runs(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(words) == 0
    if words[-1] == "TXT" and "benchmark" not in words:
        shown, printed = (re.findall(r"^\[INFO\].*", text, re.MULTILINE) for text in (PAGE, capsys.readouterr().out))
        assert [mask(line) for line in printed] == [mask(line) for line in shown]


def mask(line: str) -> str:
    """A line without the figures of this run."""
    return re.sub(r"\d+\.\d+(e-\d+)?", "N", line)


def test_both_layouts_score_the_same() -> None:
    assert Path("result.json").read_text() == Path("older/result.json").read_text()


def test_the_page_names_the_files_that_there_are() -> None:
    named = re.findall(r"^OUTPUT/(\S+)", PAGE, re.MULTILINE)
    assert [name.replace("NAME", "image_000") for name in named] == [
        "result/image_000_0.txt",
        "result_summary.json",
        "result/dumpOutput_device0/image_000_1.txt",
        "result/perf_vision_batchsize_16_device_0.txt",
    ]
    assert all(Path(name.replace("NAME", "image_000")).exists() for name in named[:2])
    assert all((Path("older") / name.replace("NAME", "image_000")).exists() for name in named[2:])
