"""Flipped images, read from the stored predictions."""

from pathlib import Path

import pytest

from run_folder import BF16, INT8, ORT, TORCH, Trial, build_run
from seatrial.errors import RefusedFile
from seatrial.report.flips import find_flips
from seatrial.report.tables import make_flips
from seatrial.results.run_folder import read_run
from seatrial.store.records import AccuracyRecord


def test_most_flipped_first_then_lost_then_by_name(tmp_path: Path) -> None:
    flips = find_flips(read_run(build_run(tmp_path, Trial(ships=(TORCH, BF16, INT8)))))
    assert flips is not None and len(flips) == 60
    assert [(f.image, f.label, f.reference, dict(f.predictions)) for f in flips[:3]] == [
        ("digit_00024.png", 4, 4, {"openvino-bf16": 5, "openvino-int8": 5}),
        ("digit_00000.png", 0, 1, {"openvino-bf16": 0, "openvino-int8": 0}),
        ("digit_00025.png", 5, 5, {"openvino-int8": 6}),
    ]
    assert flips[-1].image == "digit_00019.png" and flips[-1].reference != flips[-1].label


def test_at_most_twenty_are_shown_and_the_rest_is_counted(tmp_path: Path) -> None:
    table = make_flips(read_run(build_run(tmp_path, Trial(ships=(TORCH, INT8)))))
    assert len(table.rows) == 20
    assert table.rows[0] == ("digit_00024.png", "4", "4", "openvino-int8: 5", "right")
    assert "The first 20 of 60 are shown." in table.note


def test_no_flip_is_said(tmp_path: Path) -> None:
    table = make_flips(read_run(build_run(tmp_path, Trial(ships=(TORCH, ORT)))))
    assert table.rows == ()
    assert table.absent == "No image flips: every engine gives the first class of torch on every image."


def test_missing_predictions_are_said(tmp_path: Path) -> None:
    build_run(tmp_path)
    (tmp_path / "evaluation" / "torch.parquet").unlink()
    run = read_run(tmp_path)
    assert find_flips(run) is None
    assert "predictions of two engines are needed" in make_flips(run).absent


def test_altered_predictions_are_refused(tmp_path: Path) -> None:
    build_run(tmp_path)
    path = tmp_path / "evaluation" / "torch.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RefusedFile, match=r"torch\.parquet is altered or cut off; evaluate again"):
        find_flips(read_run(tmp_path))


def test_predictions_elsewhere_are_refused(tmp_path: Path) -> None:
    build_run(tmp_path)
    path = tmp_path / "evaluation" / "torch.json"
    AccuracyRecord.load(path).model_copy(update={"predictions": "../../torch.parquet"}).save(path)
    with pytest.raises(RefusedFile, match="no plain file name"):
        find_flips(read_run(tmp_path))
