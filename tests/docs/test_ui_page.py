"""The command of the page on the local page runs: as users start it, and ended as they end it."""

import re
import signal
import subprocess
from pathlib import Path

import httpx2
import pytest

from pages import read_commands, read_page
from run_folder import Trial, build_run
from seatrial.machine.isolated_process import PYTHON
from seatrial.ui.image_page import MOST_BYTES
from seatrial.ui.select_runs import PAGE

NAME = "docs/ui.md"


@pytest.mark.parametrize("words", read_commands(NAME), ids=lambda words: " ".join(words))
def test_a_command_of_the_page_runs(words: list[str], tmp_path: Path) -> None:
    assert words[0] == "ui"
    build_run(tmp_path / "trials" / "first", Trial(images=60))
    with subprocess.Popen([*PYTHON, "seatrial", *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            with httpx2.Client() as client:
                assert client.get(address).status_code == 200
                page = client.get(address.partition("?")[0]).text
            assert "Runs in trials" in page and "1 of 1 run" in page
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        finally:
            process.kill()


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    text = read_page(NAME)
    assert f"at most {MOST_BYTES // 2**20} MiB" in text and {50: "fifty"}[PAGE] in text
    assert re.search(r"exit code 130", text)
