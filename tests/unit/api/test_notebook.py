"""What the API returns shows itself in a notebook: the tables of the command line, escaped."""

import html
import re
import shutil
from pathlib import Path

import pytest

from seatrial.api import (
    AccuracyResult,
    ComparisonResult,
    EngineResult,
    GraphResult,
    Prediction,
    RunResult,
    SpeedResult,
    TrainResult,
    compare,
    report,
)
from seatrial.api.notebook import write_html
from seatrial.compare.gates import judge_predictions
from seatrial.compare.verdict import reach_verdict
from seatrial.report.formats import Grid
from seatrial.results.run import Run
from seatrial.results.run_folder import read_run
from seatrial.store.training import Epoch, TrainingRecord
from seatrial.workflow.predict import ClassShare


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return read_run(tiny_run)


def read_rows(shown: str) -> list[list[str]]:
    """The cells of every row, headers too."""
    rows = re.findall(r"<tr>(.*?)</tr>", shown)
    return [[html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


def test_printed_results_have_the_same_tables(tiny_run: Path, run: Run) -> None:
    result = RunResult(run)
    cells = {cell for row in read_rows(result._repr_html_()) for cell in row}
    assert len(cells) > 8 and all(cell in str(result) for cell in cells)
    assert str(report(tiny_run, format="md")) == str(result)
    share = ClassShare(number=3, shown="cat", share=0.25)
    text = str(Prediction("a\x1b.jpg", "torch", (share,)))
    assert text.splitlines()[1:] == ["", "class  confidence", "cat         25.0%"] and "\x1b" not in text


def test_cells_are_escaped_and_empty_tables_left_out() -> None:
    shown = write_html("<b>", "", Grid(["a", "b"], [["<script>", "\x1b[31m&"]]), Grid(["none"], []))
    assert shown.count("<table>") == 1 and "<script>" not in shown and "\x1b" not in shown
    assert shown.startswith("<p>&lt;b&gt;</p>") and "&lt;script&gt;" in shown and "none" not in shown


def test_a_run_shows_its_verdict_and_every_engine(run: Run) -> None:
    shown = RunResult(run)._repr_html_()
    assert run.verdict is not None and run.verdict.outcome in shown
    assert [row[0] for row in read_rows(shown)] == ["Engine", *run.engines]


def test_an_accuracy_shows_what_was_measured_and_judged(run: Run) -> None:
    record = run.accuracy["onnxruntime"]
    gates = tuple(judge_predictions(record, run.recipe.gates, 30))
    shown = AccuracyResult(Path("x.json"), record, gates, reach_verdict("", gates))._repr_html_()
    rows = read_rows(shown)
    assert rows[1][:2] == ["onnxruntime", "24"] and f"{record.accuracy():.2%}" in rows[1]
    assert [row[0] for row in rows[3:]] == [gate.outcome for gate in gates]


def test_a_speed_shows_a_row_for_each_batch_size(run: Run) -> None:
    shown = SpeedResult(Path("x.json"), run.measurements["onnxruntime"], ("host",))._repr_html_()
    assert [row[0] for row in read_rows(shown)] == ["batch", "1", "2"]


def test_a_comparison_shows_the_table_of_its_kind(tiny_run: Path, tmp_path: Path) -> None:
    files = [tiny_run / "evaluation" / f"{name}.parquet" for name in ("torch", "onnxruntime")]
    shown = compare(*files)._repr_html_()
    assert read_rows(shown)[0] == ["24 images", "torch", "onnxruntime"]
    records = [tiny_run / "bench" / f"{name}.json" for name in ("torch", "onnxruntime")]
    assert [row[0] for row in read_rows(compare(*records)._repr_html_())] == ["batch", "1", "2", "best"]
    later = shutil.copytree(tiny_run, tmp_path / "later", symlinks=True)
    runs = compare(tiny_run, later)
    assert isinstance(runs, ComparisonResult) and "against" in runs._repr_html_()


def test_what_was_made_shows_itself(run: Run) -> None:
    assert run.graph is not None
    graph = GraphResult(Path("model.onnx"), run.graph)._repr_html_()
    assert [row[0] for row in read_rows(graph)[1:]] == [step.step for step in run.graph.parity]
    built = run.built["onnxruntime"]
    assert read_rows(EngineResult(Path("e"), built)._repr_html_())[1] == ["fp32", str(built.executed["fp32"])]
    share = ClassShare(number=3, shown="3 <cat>", share=0.25)
    assert read_rows(Prediction("a.jpg", "torch", (share,))._repr_html_()) == [
        ["class", "confidence"],
        ["3 <cat>", "25.0%"],
    ]


def test_a_training_shows_its_epochs() -> None:
    epoch = Epoch.model_construct(epoch=1, loss=0.5, train_top1=0.25, val_top1=None, images_per_s=12.4)
    record = TrainingRecord.model_construct(epochs=(epoch,), checkpoint="c")
    assert read_rows(TrainResult(Path("t"), record)._repr_html_())[1] == ["1", "0.500", "25.00%", "–", "12"]


def test_a_report_shows_its_run(tiny_run: Path) -> None:
    assert report(tiny_run, format="md")._repr_html_() == RunResult(read_run(tiny_run))._repr_html_()
