"""Every format writes every kind of run, from the command line too, and all of them hold the same figures."""

import csv
import io
import json
import re
import shutil
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from run_folder import BF16, INT8, TORCH, Trial, build_run
from seatrial.cli import run_cli
from seatrial.errors import UsageError
from seatrial.report.forms import FORMS, write_form
from seatrial.report.language import LANGUAGES
from seatrial.report.numbers import write_figures, write_percent, write_points
from seatrial.results.run_folder import Run, read_run

TRANSLATED = [(name, code) for name, form in FORMS.items() for code in LANGUAGES if form.translated or code == "en"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run of three engines, of which one fails."""
    return build_run(tmp_path_factory.mktemp("run"), Trial(ships=(TORCH, BF16, INT8), trained=True))


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return read_run(folder)


@pytest.mark.parametrize("missing", ["bench", "evaluation", "verdict.json", "engines", "model.onnx.json"])
def test_a_run_that_lacks_a_part_is_written_in_every_format(folder: Path, tmp_path: Path, missing: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "run")
    (copy / missing).rename(tmp_path / "gone")
    run = read_run(copy)
    for name, language in TRANSLATED:
        if name != "html":  # Which has tests of its own, and draws charts.
            text = write_form(run, name, language)
            assert text.endswith("\n") and not re.search(r"\bNone\b(?!\.|:)|\bnan\b", text)


def test_a_run_that_has_only_begun_has_every_form(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "run.json", tmp_path)
    begun = read_run(tmp_path)
    for name, language in TRANSLATED:
        assert write_form(begun, name, language)
    assert "未测量" in write_form(begun, "guide", "zh")
    assert "NOT JUDGED" in write_form(begun, "badge")


def test_a_format_or_language_that_is_not_there_is_named(run: Run) -> None:
    with pytest.raises(
        UsageError, match=r"no format 'pdf'; formats: html, md, guide, card, pr, junit, csv, json, badge"
    ):
        write_form(run, "pdf")
    with pytest.raises(UsageError, match="no language 'fr'; known: en, zh"):
        write_form(run, "guide", "fr")
    with pytest.raises(UsageError, match="format csv is in English only; leave --language out"):
        write_form(run, "csv", "zh")


def test_every_form_holds_the_figures_of_the_page(run: Run) -> None:
    page = write_form(run, "html")
    rows = list(csv.DictReader(io.StringIO(write_form(run, "csv"))))
    engines = {engine["engine"]: engine for engine in json.loads(write_form(run, "json"))["engines"]}
    texts = {name: write_form(run, name) for name in ("md", "card", "pr", "guide")}
    for name, engine in engines.items():
        best = next(row for row in rows if row["engine"] == name and row["best"] == "true")
        top1, drop = write_percent(engine["top1"]), engine["drop_pp"]
        assert float(best["top1"]) == engine["top1"]
        rate = max(speed["images_per_s"] for speed in engine["speeds"])
        assert float(best["images_per_s"]) == rate
        for text in (page, *texts.values()):
            assert top1 in text and (drop is None or write_points(drop) in text)
        for form in ("md", "card", "pr"):
            assert f" {write_figures(rate)} " in texts[form]
        (shown,) = re.findall(
            rf"^\| 最优batch \|(?: [\d.]+ \|){{{list(engines).index(name)}}} ([\d.]+) ", texts["guide"], re.M
        )
        assert write_figures(float(shown)) == write_figures(rate)
        suite = ElementTree.fromstring(write_form(run, "junit")).find(f"testsuite[@name='{name}']/properties")
        assert suite is not None
        properties = {item.get("name"): item.get("value") for item in suite}
        assert (float(properties["top1"] or 0), float(properties["images_per_s"] or 0)) == (engine["top1"], rate)
    assert f"drop {write_points(engines['openvino-int8']['drop_pp'])} pp" in write_form(run, "badge")


def test_ratios_of_the_guide_follow_from_the_rates_beside_them(run: Run) -> None:
    text = write_form(run, "guide", "zh")
    lines = re.findall(r"^\| (?:bs\d+|最优batch) \|.*", text, re.M)
    assert len(lines) == 3
    for line in lines:
        torch, bf16, int8, *ratios = (Decimal(cell) for cell in line.strip("| ").split(" | ")[1:])
        expected = [(each / torch).quantize(Decimal("0.0001"), ROUND_HALF_UP) for each in (bf16, int8)]
        assert ratios == expected


def test_the_verb_prints_a_form_or_writes_it_to_a_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["report", str(folder), "--format", "pr"]) == 0
    printed = capsys.readouterr().out
    assert printed == write_form(read_run(folder), "pr")
    path = tmp_path / "new" / "comment.md"
    assert run_cli(["report", str(folder), "--format", "pr", "--output", str(path)]) == 0
    assert path.read_text(encoding="utf-8") == printed and capsys.readouterr().out == ""
    assert [entry.name for entry in path.parent.iterdir()] == ["comment.md"]


def test_the_verb_writes_both_reports_in_the_language(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(folder, tmp_path / "run")
    assert run_cli(["report", str(copy), "--language", "zh"]) == 0
    html, markdown, verdict = capsys.readouterr().out.splitlines()
    assert verdict == "FAIL：openvino-int8 未达到精度要求；openvino-bf16 通过全部门限。"
    assert verdict in Path(html).read_text(encoding="utf-8") and verdict in Path(markdown).read_text(encoding="utf-8")


def test_the_verb_refuses_what_it_would_ignore(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, problem in (
        (["--output", str(tmp_path / "x")], "--output is for one form"),
        (["--language", "fr"], "there is no language 'fr'"),
        (["--format", "docx"], "there is no format 'docx'"),
    ):
        assert run_cli(["report", str(folder), *words]) == 2
        assert problem in capsys.readouterr().err


def test_a_path_that_is_no_regular_file_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("/dev/null", str(tmp_path)):
        assert run_cli(["report", str(folder), "--format", "badge", "--output", place]) == 9
        assert place in capsys.readouterr().err
    assert Path("/dev/null").is_char_device()


def test_a_run_that_is_not_judged_leaves_with_seven(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "run.json", tmp_path)
    assert run_cli(["report", str(tmp_path), "--format", "json"]) == 7


def test_no_form_has_characters_that_move_a_terminal(tmp_path: Path) -> None:
    evil = "seatrial run \x1b[2J\x9b1m\u202e\u2066x"
    folder = build_run(tmp_path, Trial(command=evil, title=evil))
    shutil.rmtree(folder / "bench")
    shutil.rmtree(folder / "evaluation")  # No charts, which take the time.
    run = read_run(folder)
    for name, language in TRANSLATED:
        text = write_form(run, name, language)
        found = re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        assert (name, found) == (name, [])
    assert json.loads(write_form(run, "json"))["command"] == evil
