"""Flipped images, read from the stored predictions, the gravest first."""

import base64
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from run_folder import BF16, INT8, ORT, TORCH, Trial, build_run
from seatrial.errors import RefusedFile
from seatrial.report.confidence import make_confidence
from seatrial.report.flips import MOST_FLIPS, choose_flips, find_flips, make_flips
from seatrial.report.html import write_html
from seatrial.report.markdown import write_markdown
from seatrial.results.run import Run
from seatrial.results.run_folder import read_run
from seatrial.store.flips import Flip, FlipsRecord
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord

PICTURE = base64.b64encode(b"\xff\xd8\xff" + bytes(30)).decode()


def read_three(folder: Path) -> Run:
    return read_run(build_run(folder, Trial(ships=(TORCH, BF16, INT8))))


def replace_predictions(run: Run, change: Callable[[str, Predictions], Predictions]) -> Run:
    return dataclasses.replace(run, predictions={name: change(name, ours) for name, ours in run.predictions.items()})


def test_each_engines_flips_come_lost_first(tmp_path: Path) -> None:
    found = find_flips(read_three(tmp_path))
    assert found is not None and {name: len(flips) for name, flips in found.items()} == {
        "openvino-bf16": 2,
        "openvino-int8": 60,
    }
    lost, gained = found["openvino-bf16"]
    assert (lost.image, lost.label, lost.reference, lost.predicted, lost.kind) == ("digit_00024.png", 4, 4, 5, "lost")
    assert (gained.image, gained.reference, gained.predicted, gained.kind) == ("digit_00000.png", 1, 0, "gained")
    assert [flip.kind for flip in found["openvino-int8"]] == ["lost"] * 40 + ["gained"] * 20


def test_confident_and_now_wrong_comes_first(tmp_path: Path) -> None:
    def sharpen(name: str, ours: Predictions) -> Predictions:
        # The later an image, the surer; the earlier, the larger its margin, 2 · (2 - row / 540).
        row = np.arange(len(ours.ids), dtype=np.float32) / 540
        scores = ours.scores * (2 - row)[:, None]
        return dataclasses.replace(ours, scores=scores, log_denominators=scores[:, 0] + 2 - row)

    run = replace_predictions(read_three(tmp_path), sharpen)
    found = find_flips(run)
    assert found is not None
    first = found["openvino-int8"][0]
    assert (first.image, first.kind) == ("digit_00063.png", "lost")
    assert first.confidence == pytest.approx(np.exp(63 / 540 - 2), rel=1e-5) == first.reference_confidence
    assert first.margin == pytest.approx(2 * (2 - 63 / 540), rel=1e-5)
    bare = replace_predictions(run, lambda name, ours: dataclasses.replace(ours, log_denominators=None))
    found = find_flips(bare)
    # Without confidences the margin decides.
    assert found is not None and found["openvino-int8"][0].image == "digit_00024.png"
    assert found["openvino-int8"][0].confidence is None


def test_engines_take_turns_and_the_rest_is_counted(tmp_path: Path) -> None:
    run = read_three(tmp_path)
    shown = choose_flips(find_flips(run) or {})
    assert len(shown) == MOST_FLIPS and sum(name == "openvino-bf16" for name, _ in shown) == 2
    table = make_flips(run)
    assert "24 of 62 are shown, as many of each engine as of another." in table.note
    row = ("openvino-bf16", "digit_00024.png", "4", "4", "5", "2.00", "was right, now wrong")
    assert table.columns[0].name == "Engine" and row in table.rows


def test_pictures_are_on_the_page_and_not_in_markdown(tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(TORCH, BF16)))
    records = {
        name: AccuracyRecord.load(tmp_path / "evaluation" / f"{name}.json") for name in ("torch", "openvino-bf16")
    }
    ours, versus = records["openvino-bf16"], records["openvino-bf16"].versus
    assert versus is not None
    versus = versus.model_copy(update={"reference_sha256": records["torch"].predictions_sha256})
    ours.model_copy(update={"versus": versus}).save(tmp_path / "evaluation" / "openvino-bf16.json")
    flip = Flip(
        image="digit_00024.png", label=4, reference=4, predicted=5, kind="lost",
        reference_confidence=None, confidence=None, margin=2.0, thumbnail=PICTURE,
    )  # fmt: skip
    FlipsRecord(
        name="openvino-bf16", reference="torch", changed=2, flips=(flip,),
        predictions_sha256=ours.predictions_sha256, reference_sha256=records["torch"].predictions_sha256,
    ).save(tmp_path / "evaluation" / "openvino-bf16.flips.json")  # fmt: skip
    run = read_run(tmp_path)
    page = write_html(run)
    assert page.count(f'<img src="data:image/jpeg;base64,{PICTURE}" alt="">') == 1
    # A picture without words names no row: the engine does.
    assert re.search(r'<td class="image"[^>]*>\s*<img [^>]*></td>\s*<th scope="row" class="engine">', page)
    assert PICTURE not in write_markdown(run) and "| Engine | Image | Label |" in write_markdown(run)


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


def test_calibration_drifts_by_what_was_lost(tmp_path: Path) -> None:
    def be_sure(name: str, ours: Predictions) -> Predictions:
        # A confidence of 1 everywhere: the error is the share of wrong predictions.
        return dataclasses.replace(ours, log_denominators=ours.scores[:, 0].copy())

    run = replace_predictions(read_three(tmp_path), be_sure)
    rows = make_confidence(run).rows
    assert rows[0] == ("torch", "540", "100.00", "95.56", "4.44", "4.44", "–")
    # 20 of 540 fewer are right.
    assert rows[2] == ("openvino-int8", "540", "100.00", "91.85", "8.15", "8.15", "3.70")


def test_confidences_that_are_not_stored_are_said(tmp_path: Path) -> None:
    table = make_confidence(read_three(tmp_path))
    assert table.rows == () and table.absent.startswith("Not stored")
