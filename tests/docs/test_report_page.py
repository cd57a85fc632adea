"""What the page on the report says is run, on a small run, and it names every format and language."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from guide_structure import HEADINGS, TABLES
from pages import ROOT, read_commands, read_page
from run_folder import Trial, build_run
from seatrial.cli import run_cli
from seatrial.recipes.guide_text import check_guide_text, read_tables
from seatrial.report.forms import FORMS
from seatrial.report.language import LANGUAGES

PAGE = "docs/report.md"


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's run exists."""
    folder = tmp_path_factory.mktemp("page")
    build_run(folder / "trial", Trial(trained=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", read_commands(PAGE), ids=lambda words: " ".join(words)[:60])
def test_a_command_of_the_page_runs(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(words) == 0
    written = Path(words[-1]).read_text(encoding="utf-8") if "--output" in words else capsys.readouterr().out
    assert written.strip()


def test_the_page_has_a_row_and_a_command_for_each_format() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| .* \|$", read_page(PAGE).partition("## ")[0], re.MULTILINE)
    assert rows == list(FORMS)
    asked = {words[words.index("--format") + 1] for words in read_commands(PAGE) if "--format" in words}
    assert asked == set(FORMS)


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "docs" / "examples").glob("*.zh.md")))
def test_an_example_of_a_guide_has_the_sections_of_today_full_tables_and_no_error(name: str) -> None:
    text = read_page(f"docs/examples/{name}")
    assert set(re.findall(r'^(#+) (.*)<a name="', text, re.MULTILINE)) <= {("#" * n, title) for n, title in HEADINGS}
    assert all(any(set(columns) <= set(table.header) for table in read_tables(text)) for columns in TABLES[:4])
    assert [table.header for table in read_tables(text) if not all(all(row) for row in table.rows)] == []
    assert [claim for claim in check_guide_text("example", text) if not claim.holds] == []
    assert f"(examples/{name})" in read_page(PAGE)


def test_help_names_every_format_and_language(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["report", "--help"]) == 0
    words = set(re.findall(r"\w+", capsys.readouterr().out))
    assert words >= {*FORMS, *LANGUAGES}
