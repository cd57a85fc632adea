"""Tables of a run against figures worked out by hand."""

from html import escape as html_escape
from pathlib import Path

import pytest

from run_folder import BF16, INT8, MACHINE, TORCH, Ship, Trial, build_run, wilson
from seatrial.report import provenance, tables
from seatrial.report.formats import escape
from seatrial.report.headline import gates_of
from seatrial.report.html import write_html
from seatrial.report.markdown import write_markdown
from seatrial.report.page import make_page
from seatrial.report.run_doubts import find_doubts
from seatrial.results.run_folder import read_run
from seatrial.store.measurement import Measurement
from seatrial.store.records import AccuracyRecord, EngineManifest

THREE = Trial(ships=(TORCH, BF16, INT8), trained=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_run(tmp_path, THREE)


def list_doubts(folder: Path) -> list[tuple[str, str]]:
    return [(doubt.engine, doubt.text) for doubt in find_doubts(read_run(folder))]


def test_summary(folder: Path) -> None:
    reference, bf16, int8 = tables.make_summary(read_run(folder)).rows
    # 516 of 540 right; one lost and one gained: ±1.645·√2/540.
    assert reference == ("torch", "fp32", "95.56", "–", "–", "20.0", "1", "1.00", "reference")
    assert bf16 == (
        "openvino-bf16", "bf16 (53 of 57 layers)", "95.56", "0.00 (−0.43 to 0.43)", "0.37", "160", "4", "8.00", "PASS"
    )  # fmt: skip
    # 40 lost, 20 gained: 20/540, ±1.645·√(60 − 400/540)/540.
    assert int8 == (
        "openvino-int8", "int8 (50 of 57 layers)", "91.85", "3.70 (1.36 to 6.05)", "11.11", "320", "4", "16.0", "FAIL"
    )  # fmt: skip


def test_accuracy_and_comparison(folder: Path) -> None:
    run = read_run(folder)
    low, high = wilson(496, 540)
    row = tables.make_accuracy(run).rows[2]
    assert row[:4] == ("openvino-int8", "540", "91.85", f"{100 * low:.2f} to {100 * high:.2f}")
    assert row[4:8] == ("95.93",) * 4  # 22 of the 44 wrong ones come second: 518 of 540.
    assert row[8:] == ("91.85", "91.85", "91.85", "100")  # Each class has 54 images and gets 54.
    assert tables.make_versus(run).rows[1] == (
        "openvino-int8", "torch", "540", "476", "40", "20", "60", "3.70", "1.36 to 6.05", "0.013"
    )  # fmt: skip


def test_ratios_put_the_fastest_first(folder: Path) -> None:
    table = tables.make_ratios(read_run(folder))
    assert [column.name for column in table.columns] == ["Engine", "× openvino-int8", "× openvino-bf16", "× torch"]
    assert table.rows == (
        ("openvino-int8", "1.00", "2.00", "16.0"),
        ("openvino-bf16", "0.500", "1.00", "8.00"),
        ("torch", "0.0625", "0.125", "1.00"),
    )


def test_gates_put_the_worst_first(folder: Path) -> None:
    rows = tables.make_gates(read_run(folder)).rows
    assert [row[:4] for row in rows] == [
        ("FAIL", "openvino-int8", "reference_drop_pp", "accuracy"),
        ("PASS", "openvino-bf16", "reference_drop_pp", "accuracy"),
    ]
    assert rows[1][4].startswith("the drop is 0.00 points")


@pytest.mark.parametrize("gate_pp", [1.0, 3.0])
def test_why_a_gate_is_not_met_is_said_once(gate_pp: float, tmp_path: Path) -> None:
    run = read_run(build_run(tmp_path, Trial(ships=(TORCH, BF16, INT8), gate_pp=gate_pp)))
    (reason,) = (gate.reason for gate in gates_of(run) if gate.outcome != "PASS")
    assert (write_markdown(run).count(escape(reason)), write_html(run).count(str(html_escape(reason)))) == (1, 1)


def test_parity_names_the_engine_whose_graph_took_another_step(folder: Path) -> None:
    assert tables.make_parity(read_run(folder)).rows == (
        ("export", "every engine", "16", "8.1e-07", "6.2e-06", "0"),
        ("simplify", "every engine", "16", "0", "0", "0"),
        ("quantize", "openvino-int8", "16", "4.3e-02", "6.1e-01", "1"),
    )


def test_training(folder: Path) -> None:
    rows = tables.make_training(read_run(folder)).rows
    assert len(rows) == 7
    assert rows[1] == ("2", "1.15", "65.00", "70.00", "0.0500", "75.0", "16.8")


def test_precision_that_was_not_given_is_said(folder: Path) -> None:
    path = folder / "engines" / "openvino-bf16" / "engine.json"
    EngineManifest.load(path).model_copy(update={"executed": {"fp32": 57}}).save(path)
    assert tables.write_precision(read_run(folder), "openvino-bf16") == "bf16 requested, but 57 in fp32"


def test_provenance_names_weights_opset_preprocessing_and_machine(folder: Path) -> None:
    run = read_run(folder)
    model, graph, machine = (
        dict(table.rows)
        for table in (provenance.make_model(run), provenance.make_graph(run), provenance.make_machine(run))
    )
    assert (model["Checkpoint"], model["sha256 of the file"]) == ("digits.pth", "a" * 64)
    assert model["Published accuracy"] == "top-1 76.13 %, top-5 92.86 %"
    assert graph["ONNX opset"] == "17"
    assert graph["Input tensor"] == "image: uint8 N × 256 × 256 × 3 (NHWC)"
    assert graph["Preprocessing"] == (
        "resize the short side to 256 (bilinear), then crop the middle 224 × 224, then divide by 255, "
        "then subtract the mean 0.485 / 0.456 / 0.406 and divide by 0.229 / 0.224 / 0.225"
    )
    assert machine["Processor"] == "Intel(R) Xeon(R) Platinum 8488C, 2 usable cores, 16.0 GiB"
    assert machine["Input val"] == f"sha256 {'b' * 64}"


def test_doubts_are_those_measured_and_records_that_do_not_fit(folder: Path) -> None:
    assert list_doubts(folder) == [("openvino-bf16", BF16.doubts[0])]
    accuracy, speed = folder / "evaluation" / "openvino-int8.json", folder / "bench" / "openvino-int8.json"
    AccuracyRecord.load(accuracy).model_copy(update={"preprocess_hash": "0" * 64}).save(accuracy)
    other = MACHINE.model_copy(update={"cpu": "another"})
    Measurement.load(speed).model_copy(update={"environment": other}).save(speed)
    doubts = list_doubts(folder)[1:]
    assert [who for who, _ in doubts] == ["openvino-int8", "openvino-int8"]
    assert "another preprocessing" in doubts[0][1] and "another machine" in doubts[1][1]


def test_accuracies_on_other_files_under_the_same_names_do_not_fit(folder: Path) -> None:
    evaluation = folder / "evaluation"

    def store(name: str, **changes: object) -> None:
        path = evaluation / f"{name}.json"
        AccuracyRecord.load(path).model_copy(update=changes).save(path)

    store("torch", contents_hash="a" * 64)
    store("openvino-bf16", contents_hash="a" * 64)
    before = list_doubts(folder)
    store("openvino-int8", contents_hash="b" * 64)
    told = "its accuracy is that of other image files under the same names, so its figures do not compare"
    doubts = [doubt for doubt in list_doubts(folder) if doubt not in before]
    assert [(who, doubt.startswith(told)) for who, doubt in doubts] == [("openvino-int8", True)]
    store("openvino-int8", contents_hash=None)
    assert list_doubts(folder) == before


def test_every_row_has_a_cell_for_every_column(tmp_path: Path) -> None:
    ships = (TORCH, BF16, INT8, Ship("bare", "torch", wrong=frozenset(range(33, 193, 10))))
    page = make_page(read_run(build_run(tmp_path, Trial(ships=ships, trained=True))))
    every = [page.summary, *(table for section in page.sections for table in section.tables)]
    assert len(every) >= 20
    for table in every:
        assert {len(row) for row in table.rows} <= {len(table.columns)}, table.title
    assert [table.title for table in every if not table.rows] == ["Confidence"]
