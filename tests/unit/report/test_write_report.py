"""The two files: self-contained, escaped, and whole when parts of the run are missing."""

import dataclasses
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import run_folder
from run_folder import BF16, INT8, TORCH, Trial, build_run, write_verdict
from seatrial.cli import run_cli
from seatrial.report import drawable
from seatrial.report import write as report_pages
from seatrial.report.drawable import RENDERER_BYTES
from seatrial.report.formats import escape, fence
from seatrial.report.markdown import write_markdown
from seatrial.report.write import describe_pages, write_report
from seatrial.results.run_folder import read_run
from seatrial.store.measurement import Throughput
from seatrial.store.records import GateResult

EVIL = "<script>alert('1')</script>| `x` \"q\" **b**"
VOID = {"meta", "link", "br", "img", "input", "hr", "base"}


class Page(HTMLParser):
    """Collects tags, attributes and text; refuses tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def write(folder: Path) -> tuple[str, str]:
    page, text, _ = write_report(folder)
    assert (page.name, text.name) == ("report.html", "report.md")
    return page.read_text(encoding="utf-8"), text.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run of which one engine fails."""
    return build_run(tmp_path_factory.mktemp("failed"), Trial(ships=(TORCH, BF16, INT8), trained=True))


@pytest.fixture(scope="module")
def written(failed: Path) -> tuple[str, str]:
    return write(failed)


def test_both_start_with_the_verdict_and_hold_the_figures(written: tuple[str, str]) -> None:
    html, markdown = written
    sentence = "FAIL: openvino-int8 falls short of the required accuracy; openvino-bf16 passes every gate."
    text = Page(html).text
    assert sentence in text and sentence in markdown
    assert text.index(sentence) < text.index("Top-1, %")
    row = (
        "openvino-bf16",
        "bf16 (53 of 57 layers)",
        "95.56",
        "0.00 (−0.43 to 0.43)",
        "0.37",
        "160",
        "4",
        "8.00",
        "PASS",
    )
    assert " ".join(row) in text
    assert f"| {' | '.join(row)} |" in markdown
    assert (
        "1 doubt could change which engine is the fastest, the ranking of torch and openvino-bf16 at batch 1, 4" in text
    )
    assert html.count("<svg") == 5


def test_the_page_needs_nothing_else(written: tuple[str, str]) -> None:
    tags = Page(written[0]).tags
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "embed", "form", "image", "use"}
    for tag, attributes in tags:
        assert not {name for name in attributes if name.startswith("on")}, (tag, attributes)
        loads = [attributes.get(name) or "" for name in ("src", "srcset", "href", "xlink:href", "data")]
        assert tag == "a" or all(re.match(r"$|data:image/jpeg;base64,", load) for load in loads), (tag, attributes)
    assert not re.search(r"url\((?!#)|@import", written[0])
    (policy,) = (a["content"] for tag, a in tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def test_no_line_ends_before_a_unit_and_a_cell_is_one_piece(written: tuple[str, str]) -> None:
    page = written[0]
    for whole, rest in (("Top-1, %", ""), ("× torch", ""), ("prediction, ms", "First ")):
        assert f'>{rest}<span class="whole">{whole}</span></th>' in page
    assert ">Drop, points (interval)</th>" in page
    # On a phone a cell is a box of a label and one piece, which a command inside of it would break up.
    cells = re.findall(r'<td class="text"[^>]*>\s*(.*?)\s*</td>', page)
    assert len(cells) > 20 and [cell for cell in cells if not re.fullmatch(r"<(span|a|code|img)\b.*>", cell)] == []


def test_ids_are_unique_and_every_inner_link_lands(written: tuple[str, str]) -> None:
    tags = Page(written[0]).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    inner = {(a["href"] or "")[1:] for tag, a in tags if tag == "a" and (a["href"] or "").startswith("#")}
    assert inner and inner <= set(ids)


def test_the_same_run_gives_the_same_bytes(failed: Path, written: tuple[str, str]) -> None:
    assert write(failed) == written


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evil = dataclasses.replace(BF16, name=EVIL.replace("/", ""), doubts=(EVIL,))
    trial = Trial(ships=(TORCH, evil), title=EVIL, command=f"seatrial run {EVIL}\n```\n# x", image_name=EVIL + "{}")
    html, markdown = write(build_run(tmp_path, trial))
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert EVIL in page.text
    assert "<script>" not in re.sub(r"(?s)````.*?````", "", markdown)
    assert "````\nseatrial run" in markdown
    widths = [
        {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        for table in re.findall(r"(?m)(?:^\|.*\n)+", markdown)
    ]
    assert len(widths) > 10
    assert all(len(width) == 1 for width in widths)


def test_hostile_names_of_classes_stay_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = run_folder._recipe
    names = {"labels": {"names": [f"{EVIL} {number}" for number in range(10)]}}
    monkeypatch.setattr(run_folder, "_recipe", lambda trial: {**make(trial), **names})
    html, markdown = write(build_run(tmp_path, Trial(ships=(TORCH, INT8))))
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags} and "<script>" not in markdown
    assert page.text.count(f"4 {EVIL} 4") > 2  # Where it flips, where it is taken for another, and in the matrices.


def test_markdown_shows_text_as_it_is() -> None:
    assert escape("a|b <i> *x* `y` [z](u) _e_ a_b\n\\c") == (r"a\|b &lt;i&gt; \*x\* \`y\` \[z\](u) \_e\_ a_b \\c")
    assert fence("a ``` b") == "````\na ``` b\n````"
    assert escape("*a*: `seatrial diagnose <RUN> [x]`, `rm *`") == r"\*a\*: `seatrial diagnose <RUN> [x]`, \`rm \*\`"
    assert escape("`seatrial a|b`") == r"\`seatrial a\|b\`", "a code span ends no cell of a table"


@pytest.mark.parametrize(
    ("missing", "sentences"),
    [
        ("bench", ["Speed was not measured.", "Speed was not measured in this run."]),
        ("evaluation", ["No accuracy was evaluated in this run.", "predictions of two engines are needed"]),
        ("verdict.json", ["NOT JUDGED: this run has no verdict.", "no gate has an outcome"]),
        ("engines", ["No engine was compiled in this run."]),
    ],
)
def test_a_missing_part_is_said(tmp_path: Path, missing: str, sentences: list[str]) -> None:
    folder = build_run(tmp_path / "run")
    (folder / missing).rename(tmp_path / "gone")
    text = write_markdown(read_run(folder))
    for sentence in sentences:
        assert sentence in text


def test_a_run_that_has_only_begun_still_reports(tmp_path: Path) -> None:
    (build_run(tmp_path / "whole") / "run.json").rename(tmp_path / "run.json")
    html, markdown = write(tmp_path)
    assert html.count("<svg") == 0
    assert "| torch | – | – | – | – | – | – | – | reference |" in markdown
    text = Page(html).text
    assert "NOT JUDGED" in text and "No graph was made in this run" in text and "Speed was not measured" in text


def test_one_reason_is_said_once_for_all_engines_that_have_it(tmp_path: Path) -> None:
    folder = build_run(tmp_path)
    facts = {"gate": "plausible", "outcome": "INCONCLUSIVE", "kind": "accuracy", "reason": "it is at chance"}
    write_verdict(folder, [GateResult.model_validate({**facts, "engine": name}) for name in ("torch", "onnxruntime")])
    assert "- torch and onnxruntime: it is at chance\n" in write_markdown(read_run(folder))


def test_reasons_of_several_outcomes_say_which_they_are_of(tmp_path: Path) -> None:
    folder = build_run(tmp_path)
    facts = {"gate": "plausible", "engine": "torch", "kind": "accuracy"}
    gates = [{**facts, "outcome": "FAIL", "reason": "a"}, {**facts, "outcome": "INCONCLUSIVE", "reason": "b"}]
    write_verdict(folder, [GateResult.model_validate(gate) for gate in gates])
    assert "- torch (FAIL): a\n- torch (INCONCLUSIVE): b\n" in write_markdown(read_run(folder))


def test_inconclusive_is_explained(tmp_path: Path) -> None:
    text = write_markdown(read_run(build_run(tmp_path, Trial(ships=(TORCH, INT8), gate_pp=3.0))))
    assert "INCONCLUSIVE is neither PASS nor FAIL" in text


def test_charts_that_a_limit_forbids_are_left_out_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_run(tmp_path)
    monkeypatch.setattr(drawable.resource, "getrlimit", lambda kind: (RENDERER_BYTES - 1, -1))
    page = write_report(tmp_path)[0].read_text(encoding="utf-8")
    assert "<svg" not in page
    assert "The charts are left out: drawing them takes 72 GiB of addresses" in page
    monkeypatch.setattr(drawable.resource, "getrlimit", lambda kind: (RENDERER_BYTES, -1))
    page = write_report(tmp_path)[0].read_text(encoding="utf-8")
    assert "<svg" in page and "left out: drawing" not in page


def test_a_page_without_what_draws_charts_says_so_and_so_does_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build_run(tmp_path)
    for name in ("altair", "vl_convert"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "seatrial.report.charts", raising=False)
    assert run_cli(["report", str(tmp_path)]) == 0
    said = "The charts are left out: what draws them is not installed. pip install 'seatrial[report]' adds it"
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "charts" in line)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert said in line and said in Page(html).text
    assert "<svg" not in html and "Top-1, %" in Page(html).text


def test_pages_of_the_same_records_are_left_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = build_run(tmp_path / "run", Trial((TORCH, BF16)))
    run = write_report(folder)[2]
    known = describe_pages(run)
    drawn: list[Path] = []
    monkeypatch.setattr(report_pages, "_write_pages", lambda run: drawn.append(run.folder) or ("anew", "anew"))
    write_report(folder, known)
    assert not drawn and "anew" not in (folder / "report.html").read_text(encoding="utf-8")

    (folder / "report.md").write_text("edited")
    write_report(folder, known)
    assert len(drawn) == 1, "a page that was changed is written again"
    known = describe_pages(run)
    write_report(folder, known)
    assert len(drawn) == 1
    record = Throughput.load(folder / "evaluation" / "torch.throughput.json")
    record.model_copy(update={"wall_s": 2 * record.wall_s}).save(folder / "evaluation" / "torch.throughput.json")
    write_report(folder, known)
    assert len(drawn) == 2, "another record gives other pages"
    known = describe_pages(run)
    monkeypatch.setattr(report_pages, "_hash_code", lambda: "of another version")
    write_report(folder, known)
    assert len(drawn) == 3, "and so does other code"
