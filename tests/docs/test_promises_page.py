"""docs/promises.md: every promise has a row and its attacks; test_api_page.py holds its figures to battery.json."""

import re

from pages import ROOT, read_page

PAGE = read_page("docs/promises.md")
ROWS = dict(re.findall(r"^\| (\d+) \| .+? \| (.+?) \| .+? \|$", PAGE.partition("## Figures")[0], re.MULTILINE))


def test_there_are_fifteen_promises() -> None:
    assert list(ROWS) == [str(number) for number in range(1, 16)]


def test_every_attack_is_of_a_promise_and_every_linked_one_records_its_figures() -> None:
    attacks = {
        path.name: set(re.findall(r"record_figures\(\s*(\d+),", path.read_text(encoding="utf-8")))
        for path in (ROOT / "tests" / "battery").glob("test_*.py")
    }
    assert set().union(*attacks.values()) <= ROWS.keys()
    linked = [(number, name) for number, row in ROWS.items() for name in re.findall(r"battery/(test_\w+\.py)", row)]
    assert len(linked) >= 12
    assert [pair for pair in linked if pair[0] not in attacks.get(pair[1], ())] == []
