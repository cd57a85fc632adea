"""The page on the formats of guides shows what the draft of its example says."""

import re
from pathlib import Path

from guide_folders import write_guide
from pages import read_page
from seatrial.guides import draft_card


def test_the_page_shows_the_draft_of_its_guide(tmp_path: Path) -> None:
    text = draft_card(write_guide(tmp_path / "SmallNet")).text
    blocks = re.findall(r"```toml\n(.*?)```", read_page("docs/guide-formats.md"), re.DOTALL)
    assert len(blocks) == 3
    assert all(block in text for block in blocks)
