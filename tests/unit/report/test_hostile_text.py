"""Text from elsewhere in every form of a run: no control character, no line of its own, no tag that is not ours."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from run_folder import BF16, ORT, TORCH, Trial, build_run
from seatrial.cli.output.board import FORMS as BOARD_FORMS
from seatrial.cli.output.board import write_board
from seatrial.report import charts
from seatrial.report.forms import FORMS, write_form
from seatrial.report.terminal import describe_run
from seatrial.results.run_folder import read_run
from seatrial.workflow.board import read_board

CARRIERS = (
    "{}", "a{}", "{}b", "a{}PASS: all fine", "{}PASS: all fine{}", "a{}FAIL: {}", "{}{}", "'{}", '"{}"', "| {} |",
)  # fmt: skip
CORES = (
    "\n", "\r\n", "\x85", "\u2028", "\x1b[2J\x1b[31m", "\x9b1m", "\x07\x08", "\u202e\u2066", "\ud800", "\x00\x1f",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td></table>", "[x](javascript:alert(1))", "`x` ```",
    "|---|", "# PASS", "=cmd|' /C calc'!A0", "]]><b>", "--><b>",
)  # fmt: skip
INJECTIONS = tuple(carrier.replace("{}", core) for core in CORES for carrier in CARRIERS)
ALLOWED = {"\n", "\t"}
VERDICT = re.compile(r"^\W*(PASS|FAIL|INCONCLUSIVE): all fine", re.MULTILINE)


def make_run(folder: Path, texts: tuple[str, ...]) -> Path:
    """A run whose title, command, image names and doubts are these texts."""
    first, second, *_ = texts
    ships = (TORCH, replace(ORT, doubts=texts), BF16)
    name = texts[-1].replace("/", "").replace("\0", "").replace("{", "").replace("}", "")
    folder.mkdir()
    return build_run(folder, Trial(ships=ships, title=first, command=second, image_name=name + "{:05d}"))


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, bool], str]]:
    """What a form shows of a run with all injections, or with as many harmless words."""
    base = tmp_path_factory.mktemp("hostile")
    harmless = tuple(f"word {chr(0x4E00 + number)}" for number in range(len(INJECTIONS)))
    folders = {hostile: make_run(base / str(hostile), INJECTIONS if hostile else harmless) for hostile in (True, False)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charts, "draw_charts", lambda run: [])
        yield lambda form, hostile: show(folders[hostile], form)


def show(folder: Path, form: str) -> str:
    if form == "terminal":
        return describe_run(read_run(folder))
    if form.startswith("board "):
        return write_board(read_board(folder), form.removeprefix("board "))
    return write_form(read_run(folder), form)


EVERY = ("terminal", *FORMS, *(f"board {form}" for form in BOARD_FORMS))


def test_there_are_200_of_them() -> None:
    assert len(set(INJECTIONS)) == 200


@pytest.mark.parametrize("form", EVERY)
def test_no_control_character_and_no_verdict_of_its_own(form: str, forms: Callable[[str, bool], str]) -> None:
    shown = forms(form, True)
    assert {char for char in shown if not char.isprintable()} <= ALLOWED | {"\u200c", "\u200d", "\u00a0"}
    assert VERDICT.findall(shown) == VERDICT.findall(forms(form, False)) == []
    shown.encode()


class Tags(HTMLParser):
    """Collects the tags of a page, with the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))


def list_tags(page: str) -> list[tuple[str, ...]]:
    parser = Tags()
    parser.feed(page)
    return parser.found


@pytest.mark.parametrize("form", [form for form in EVERY if form.endswith("html")])
def test_a_page_has_the_tags_of_one_with_harmless_words(form: str, forms: Callable[[str, bool], str]) -> None:
    assert list_tags(forms(form, True)) == list_tags(forms(form, False))


@pytest.mark.parametrize("form", ["junit", "badge"])
def test_xml_has_the_elements_of_one_with_harmless_words(form: str, forms: Callable[[str, bool], str]) -> None:
    there, plain = ([each.tag for each in ElementTree.fromstring(forms(form, h)).iter()] for h in (True, False))
    assert there == plain


@pytest.mark.parametrize("form", ["md", "card", "guide", "pr", "board md"])
def test_markdown_has_no_tag_no_link_and_no_cell_of_its_own(form: str, forms: Callable[[str, bool], str]) -> None:
    hostile, harmless = (re.sub(r"\\.", "", forms(form, h)) for h in (True, False))
    for mark in ("<script", "<img", "</td", "](javascript"):
        assert mark not in hostile
    tables = [[line.count("|") for line in text.splitlines() if line.startswith("|")] for text in (hostile, harmless)]
    assert tables[0] == tables[1]
    headings = [[line.count("#") for line in text.splitlines() if line.startswith("#")] for text in (hostile, harmless)]
    assert headings[0] == headings[1]


@pytest.mark.parametrize("form", ["csv", "board csv"])
def test_no_cell_of_a_spreadsheet_is_a_formula(form: str, forms: Callable[[str, bool], str]) -> None:
    import csv

    cells = [cell for row in csv.reader(forms(form, True).splitlines()) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "@", "\t")) or re.match(r"[+-](?!\d)", cell)]
