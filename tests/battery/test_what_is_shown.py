"""Promise 11: text from elsewhere, in whatever shows it, adds no control character, line, tag or verdict of its own."""

import csv
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from starlette.testclient import TestClient

from battery_figures import SEED, record_figures
from page_client import open_client
from run_folder import BF16, ORT, TORCH, Trial, build_run
from seatrial.cli.output.board import FORMS as BOARD_FORMS
from seatrial.cli.output.board import write_board
from seatrial.report import charts
from seatrial.report.forms import FORMS, write_form
from seatrial.report.terminal import describe_run
from seatrial.results.run_folder import read_run
from seatrial.ui import run_index
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
WORDS = tuple(f"word {chr(0x4E00 + number)}" for number in range(len(INJECTIONS)))
ALLOWED = {"\n", "\t", "\u200c", "\u200d", "\u00a0"}
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
    folders = {hostile: make_run(base / str(hostile), INJECTIONS if hostile else WORDS) for hostile in (True, False)}
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


class Tags(HTMLParser):
    """Collects the tags of a page, with the names of their attributes, and the addresses that it leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action", "formaction")]


def read_tags(page: str) -> Tags:
    parser = Tags()
    parser.feed(page)
    return parser


def find_characters(shown: str) -> list[str]:
    """Characters that a terminal, or a reader, would be moved by."""
    found = sorted({char for char in shown if not (char.isprintable() or char in ALLOWED)})
    return [f"shows {char!r}" for char in found]


def find_changed_page(hostile: str, harmless: str) -> list[str]:
    """What a page has of its own through the texts in it."""
    tags, plain = read_tags(hostile), read_tags(harmless)
    failures = [] if tags.found == plain.found else ["has tags or attributes of its own"]
    led = [address for address in tags.addresses if not re.match(r"[/#?]|https://|data:|$", address)]
    return [*failures, *(f"leads to {address!r}" for address in led)]


def find_changed_markdown(hostile: str, harmless: str) -> list[str]:
    texts = [re.sub(r"\\.", "", text) for text in (hostile, harmless)]
    failures = [f"has {mark}" for mark in ("<script", "<img", "</td", "](javascript") if mark in texts[0]]
    for mark in "|#":
        counts = [[line.count(mark) for line in text.splitlines() if line.startswith(mark)] for text in texts]
        failures += [] if counts[0] == counts[1] else [f"has lines with {mark} of its own"]
    return failures


def find_changed_xml(hostile: str, harmless: str) -> list[str]:
    there, plain = ([each.tag for each in ElementTree.fromstring(text).iter()] for text in (hostile, harmless))
    return [] if there == plain else ["has elements of its own"]


def find_formulas(hostile: str, harmless: str) -> list[str]:
    cells = [cell for row in csv.reader(hostile.splitlines()) for cell in row]
    return [f"has the formula {c!r}" for c in cells if c.startswith(("=", "@", "\t")) or re.match(r"[+-](?!\d)", c)]


CHECKS: dict[str, Callable[[str, str], list[str]]] = {
    **dict.fromkeys(("html", "board html"), find_changed_page),
    **dict.fromkeys(("md", "card", "guide", "pr", "board md"), find_changed_markdown),
    **dict.fromkeys(("junit", "badge"), find_changed_xml),
    **dict.fromkeys(("csv", "board csv"), find_formulas),
}
"""By form, besides what every form is held to."""


@pytest.mark.whole
def test_no_form_of_a_run_or_a_board_lies(forms: Callable[[str, bool], str]) -> None:
    failures = []
    for form in EVERY:
        hostile, harmless = forms(form, True), forms(form, False)
        found = find_characters(hostile)
        found += [f"says {verdict}" for verdict in VERDICT.findall(hostile)]
        found += CHECKS[form](hostile, harmless) if form in CHECKS else []
        hostile.encode()
        assert harmless and not VERDICT.findall(harmless)
        failures += [f"{form} {each}" for each in found]
    assert len(set(INJECTIONS)) == 200 and set(CHECKS) <= set(EVERY)
    record_figures(11, f"texts in {len(EVERY)} forms", len(INJECTIONS) * len(EVERY), failures)


def name_folder(text: str) -> str:
    """The text as far as a folder can be called by it."""
    return re.sub(r"[/\0]", "", text).replace("\ud800", "\udcff")


def make_site(folder: Path, texts: tuple[str, ...]) -> Path:
    """Folders of runs: a sound one with the texts in it, and a damaged one under each text."""
    folder.mkdir()
    make_run(folder / "run", texts)
    for place, text in enumerate(texts):
        damaged = folder / f"{place:03d}{name_folder(text)}"
        damaged.mkdir()
        (damaged / "run.json").write_text("{", encoding="utf-8")
    return folder


PAGES = ("/", "/?order=path&page=2", "/?order=path&page=9", "/report?run=run", "/image?run=run")
ASKED = ("/?words={}&order=path", "/?model={}", "/?beside={}", "/report?run={}", "/compare?before={}&after=run")
ASKED += ("/image?run={}", "/work?folder={}", "/{}")


def find_answer_failures(page: str, known: set[tuple[str, ...]]) -> list[str]:
    """What is wrong with the answer to a text that is asked for; `known` are the tags of answers to harmless ones."""
    own = sorted(set(read_tags(page).found) - known)
    return find_characters(page) + [f"has the tag {tag}" for tag in own]


def ask_all(client: TestClient, texts: Sequence[str]) -> list[str]:
    pages = [client.get(page) for page in (*PAGES, *(page.format("word") for page in ASKED))]
    known = {tag for page in pages for tag in read_tags(page.text).found}
    failures = []
    for text, page in ((text, page) for text in texts for page in ASKED):
        answer = client.get(page.format(quote(text.encode("utf-8", "replace"), safe="")))
        failures += [f"{page} asked with {text!r} {each}" for each in find_answer_failures(answer.text, known)]
    return failures


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[TestClient]:
    """Clients of a folder with all injections, and of one with as many harmless words."""
    monkeypatch.setattr(charts, "draw_charts", lambda run: [])
    monkeypatch.setattr(run_index, "PATIENCE_S", 60)
    return [open_client(make_site(tmp_path / name, texts)) for name, texts in (("a", INJECTIONS), ("b", WORDS))]


@pytest.mark.whole
def test_no_page_of_runs_lies(sites: list[TestClient]) -> None:
    failures = []
    for page in PAGES:
        hostile, harmless = (client.get(page).text for client in sites)
        found = find_characters(hostile) + find_changed_page(hostile, harmless)
        failures += [f"{page} {each}" for each in found]
    record_figures(11, "texts in pages of runs", len(INJECTIONS) * len(PAGES), failures)


@pytest.fixture
def small_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(charts, "draw_charts", lambda run: [])
    return open_client(make_site(tmp_path / "site", WORDS[:2]))


def test_no_page_lies_about_some_texts_that_are_asked_for(small_site: TestClient) -> None:
    texts = random.Random(SEED).sample(INJECTIONS, 10)
    record_figures(11, "texts asked for", len(texts) * len(ASKED), ask_all(small_site, texts), seed=SEED)


@pytest.mark.battery
def test_no_page_lies_about_texts_that_are_asked_for(small_site: TestClient) -> None:
    record_figures(11, "texts asked for", len(INJECTIONS) * len(ASKED), ask_all(small_site, INJECTIONS))
