"""The board as a file in a real browser: ordered by its headings."""

from dataclasses import replace
from pathlib import Path

import pytest

from headless_browser import BROWSERS, Browser, find_browser
from run_folder import INT8, ORT, TORCH, Trial, build_run
from seatrial.cli.output.board import write_board
from seatrial.workflow.board import read_board

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason=f"no browser is installed: one of {', '.join(BROWSERS)}, by apt-get install chromium"
)
CLICK = "[...document.querySelectorAll('thead button')].find(each => each.textContent.startsWith('%s')).click()"
ENGINES = "[...document.querySelectorAll('tbody tr')].map(row => row.cells[2].textContent)"


def test_a_row_without_a_figure_comes_last_in_either_order(tmp_path: Path) -> None:
    better = replace(ORT, name="better", wrong=frozenset(range(10)))
    build_run(tmp_path / "runs" / "one", Trial(ships=(TORCH, better, INT8)))
    page = tmp_path / "board.html"
    page.write_text(write_board(read_board(tmp_path / "runs"), "html"))
    with Browser() as browser:
        browser.open(page.as_uri())
        for heading, orders in {
            "Drop": (["openvino-int8", "better", "torch"], ["better", "openvino-int8", "torch"]),
            "Engine": (["torch", "openvino-int8", "better"], ["better", "openvino-int8", "torch"]),
        }.items():
            for engines in orders:
                browser.evaluate(CLICK % heading)
                assert browser.evaluate(ENGINES) == engines
        assert browser.complaints == []
