"""`seatrial board` over folders of runs, sound, broken and foreign."""

import base64
import csv
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest

import forked_processes
from run_folder import BF16, INT8, TORCH, Trial, build_run
from seatrial.cli import run_cli
from seatrial.cli.output.board import make_page
from seatrial.report.board import MOST_LETTERS
from seatrial.report.tables import Column
from seatrial.results.run_folder import read_records
from seatrial.results.summarise import summarise
from seatrial.store.summary import SUMMARY, RunSummary
from seatrial.workflow import board
from seatrial.workflow.board import read_board, read_rows

EVIL = "<script>alert(1)</script>|*_`"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sound runs, one of which has a summary, and five folders that cannot be read."""
    folder = tmp_path_factory.mktemp("board") / "runs"
    first = build_run(folder / "deep" / "down" / "first", Trial(ships=(TORCH, BF16, INT8)))
    summarise(read_records(first)).save(first / SUMMARY)
    build_run(folder / "second", Trial(title=EVIL))
    for name, text in (("broken", '{"schema": "seatrial/run/1", "x":'), ("foreign", '{"a": 1}'), ("list", "[1]")):
        (folder / name).mkdir()
        (folder / name / "run.json").write_text(text)
    odd = os.fsdecode(EVIL.replace("/", "").encode() + b"\xff")
    pipe = shutil.copytree(folder / "second", folder / "pipe") / "bench" / "torch.json"
    pipe.unlink()
    os.mkfifo(pipe)
    cut = shutil.copytree(folder / "second", folder / odd)
    record = cut / "bench" / "torch.json"
    record.write_text(record.read_text()[:-200])
    return folder


def test_every_format_has_the_same_rows(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("board.csv", "board.json", "board.md", "board.html"):
        assert run_cli(["board", str(runs), "--output", str(tmp_path / name)]) == 0
    capsys.readouterr()
    with (tmp_path / "board.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = json.loads((tmp_path / "board.json").read_text())
    assert (found["runs"], found["not_read"], len(found["engines"])) == (7, 5, 6 + 5)
    assert [row["run"] for row in rows] == [row["run"] for row in found["engines"]]
    (int8,) = (row for row in found["engines"] if row["engine"] == "openvino-int8")
    assert (int8["run"], int8["precision"], int8["outcome"]) == ("deep/down/first", "int8", "FAIL")
    assert int8["batch_size"] == 4 and int8["images_per_s"] == pytest.approx(4000 / 12.5)
    text, page = ((tmp_path / name).read_text() for name in ("board.md", "board.html"))
    for written in (text, page):
        assert "7 runs, 6 engines" in written and "never ranked" in written and "could not be read" in written
        assert f"{100 * int8['top1']:.2f}" in written and "deep/down/first" in written
    assert run_cli(["board", str(runs)]) == 0
    assert capsys.readouterr().out == text


def test_the_page_needs_nothing_and_runs_its_own_script_alone(runs: Path, tmp_path: Path) -> None:
    assert run_cli(["board", str(runs), "--output", str(tmp_path / "b.html")]) == 0
    page = (tmp_path / "b.html").read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page and "default-src 'none'" in page
    assert not re.search(r"""(src|href)=|url\(|@import""", page) and "alert(1)" not in script
    assert "&lt;script&gt;" in page


def test_a_line_of_the_page_ends_before_an_interval_and_the_outcome_stands_early(runs: Path, tmp_path: Path) -> None:
    assert run_cli(["board", str(runs), "--output", str(tmp_path / "b.html")]) == 0
    page = (tmp_path / "b.html").read_text()
    assert re.search(r">0\.00 <span>\(−\d\.\d\d to \d\.\d\d\)</span></td>", page)
    headings = re.findall(r"<th [^>]*>([^<]*)</th>", page)
    assert headings[:6] == ["Run", "Model", "Engine", "Precision", "Outcome", "Front"]
    assert page.count("<span>") == page.count("</span>")


def test_each_column_has_the_room_of_its_longest_line_and_words_have_a_limit(runs: Path) -> None:
    page = make_page(read_board(runs / "deep"))
    room = dict(zip((column.name for column in page.columns), page.widths, strict=True))
    cells = {row[page.columns.index(Column("Front"))].text for section in page.sections for row in section.rows}
    assert max(map(len, cells)) > MOST_LETTERS == room["Front"]
    assert room["Outcome"] == len("reference") and room["Engine"] == len("openvino-int8")
    assert room["Drop, points (interval)"] == len("(−0.43 to 0.43)") and room["at batch size"] == 4


def test_a_summary_counts_only_as_long_as_the_records_are_its_own(runs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(runs / "deep" / "down" / "first", tmp_path / "run")
    known = RunSummary.load(run / SUMMARY)
    assert RunSummary.find(run) == known
    # A copy has other times, and the same checksums.
    os.utime(run / "verdict.json")
    assert RunSummary.find(run) == known
    record = run / "evaluation" / "torch.json"
    text = record.read_text()
    record.write_text(text.replace('"hits"', '"hots"'))
    assert RunSummary.find(run) is None  # Its end, with the checksum, is as it was.
    record.write_text(text[:-90])
    assert RunSummary.find(run) is None and read_rows((tmp_path, "run", ""))[0].reason
    record.write_text(text)
    assert RunSummary.find(run) == known
    predictions = run / "evaluation" / "torch.parquet"
    whole = predictions.read_bytes()
    for junk in (b"junk", b"PAR1" + whole[4:-1] + b"?"):
        predictions.write_bytes(junk)
        assert RunSummary.find(run) is None
        assert "torch.parquet is altered" in read_rows((tmp_path, "run", ""))[0].reason
    predictions.write_bytes(whole)
    summary = (run / SUMMARY).read_text()
    (run / SUMMARY).write_text(summary.replace('"images": 540', '"images": 541'))
    assert RunSummary.find(run) is None and "541" in (run / SUMMARY).read_text()
    (run / SUMMARY).write_text(summary)
    (run / "verdict.json").unlink()
    assert RunSummary.find(run) is None and read_rows((tmp_path, "run", ""))[0].run_outcome is None
    for damaged in ("{}", "[]", "", '{"schema": "seatrial/summary/1"'):
        (run / SUMMARY).write_text(damaged)
        assert RunSummary.find(run) is None


def test_what_changed_since_an_older_folder_is_marked(runs: Path, tmp_path: Path) -> None:
    older = tmp_path / "older"
    shutil.copytree(runs / "second", older / "second")
    build_run(older / "third", Trial(ships=(TORCH,)))
    shutil.rmtree(older / "third" / "bench")
    found = read_board(runs, older)
    kinds = {(row.run, row.engine.name): row.change.kind for row in found.rows if row.change is not None}
    assert kinds["deep/down/first", "openvino-int8"] == "new" and kinds["second", "onnxruntime"] == "not certain"
    assert found.gone == () and found.since == str(older)
    assert run_cli(["board", str(runs), "--since", str(older), "--output", str(tmp_path / "b.html")]) == 0
    assert "What changed" in (tmp_path / "b.html").read_text()


def test_many_runs_are_read_by_several_processes_as_one_reads_them(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = read_board(runs)
    monkeypatch.setattr(board, "SEVERAL", 1)
    monkeypatch.setattr(board, "multiprocessing", forked_processes)
    monkeypatch.setattr(board, "count_cores", lambda: 2)
    assert read_board(runs) == alone


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["."], "has no run folder in it"),
        ([".", "--format", "htlm"], "did you mean 'html'"),
        ([".", "--output", "board.pdf"], "give --format html or md or csv or json"),
        ([".", "--output", "board"], "does not say its format"),
    ],
)
def test_what_makes_no_board_is_said(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli(["board", *words]) == 2
    assert told in capsys.readouterr().err
