"""What the page on other tools' logs says is run, on the sample logs."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from golden_logs import LOGS
from pages import read_commands, read_page
from seatrial.bench.vendor_logs import READERS
from seatrial.cli import run_cli

PAGE = read_page("docs/import-log.md")
COMMANDS = read_commands("docs/import-log.md")


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("page") / "logs"
    shutil.copytree(LOGS, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words)[:50])
def test_a_command_of_the_page_runs(words: list[str]) -> None:
    assert run_cli(words) == 0
    assert Path(words[-1]).exists()


def test_every_tool_has_a_row_and_a_command() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE.split("## What is read")[1], re.MULTILINE) == list(READERS)
    assert {words[1] for words in COMMANDS} | {"ais_bench"} == {*READERS, "auto"}
