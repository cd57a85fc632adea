"""Classes of a run: those certainly worse, and what is taken for what."""

import dataclasses
from pathlib import Path

import pytest

from run_folder import BF16, INT8, ORT, TORCH, Trial, build_run
from seatrial.report import per_class
from seatrial.report.html import write_html
from seatrial.report.per_class import make_confusions, make_matrices, make_worse_classes
from seatrial.results.run_folder import read_run

# Eight of the 54 images of class 3, which the reference has right.
LOST = dataclasses.replace(INT8, wrong=TORCH.wrong | frozenset(range(33, 113, 10)))


def test_a_class_that_lost_eight_of_54_is_certainly_worse_among_ten(tmp_path: Path) -> None:
    table = make_worse_classes(read_run(build_run(tmp_path, Trial(ships=(TORCH, ORT, LOST)))))
    # 51 of 54 are right in the reference. 10/256 is 0.039; the share of the 8 flips is at least 0.005^(1/8).
    assert table.rows == (("openvino-int8", "3", "54", "94.44", "79.63", "8", "0", "0.46", "0.039"),)
    assert "adjusted by Holm for 10 tests" in table.note


def test_seven_are_not(tmp_path: Path) -> None:
    fewer = dataclasses.replace(LOST, wrong=LOST.wrong - {33})
    table = make_worse_classes(read_run(build_run(tmp_path, Trial(ships=(TORCH, fewer)))))
    assert table.rows == ()
    assert table.absent == (
        "None: no engine is certainly worse than torch in one of the 10 classes. To be certain among so many, a class "
        "must lose 8 images and gain none."
    )


def test_confusions_name_the_commonest_pairs_of_any_engine(tmp_path: Path) -> None:
    table = make_confusions(read_run(build_run(tmp_path, Trial(ships=(TORCH, LOST)))))
    assert [column.name for column in table.columns] == ["Images of", "taken for", "torch", "openvino-int8"]
    assert table.rows[0] == ("3", "4", "3", "11")
    assert len(table.rows) == 10


def test_matrices_are_of_up_to_fifty_classes_and_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = read_run(build_run(tmp_path, Trial(ships=(TORCH, BF16))))
    matrix = make_matrices(run)[0]
    assert (matrix.engine, matrix.counts.sum(), matrix.counts[3, 4]) == ("torch", 540, 3)
    assert matrix.shares[3, 3] == pytest.approx(51 / 54)
    assert write_html(run).count('<table class="matrix">') == 2
    monkeypatch.setattr(per_class, "LARGEST_MATRIX", 9)
    assert make_matrices(run) == ()


def test_without_predictions_nothing_is_compared(tmp_path: Path) -> None:
    build_run(tmp_path)
    for path in tmp_path.glob("evaluation/*.parquet"):
        path.unlink()
    run = read_run(tmp_path)
    assert "predictions of two engines are needed" in make_worse_classes(run).absent
    assert make_confusions(run).absent == "No predictions are stored in this run."
    assert make_matrices(run) == ()
