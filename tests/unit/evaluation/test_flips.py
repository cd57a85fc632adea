import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_engine import make_recipe
from noise_images import list_noise
from run_folder import Trial, build_run
from sealed import edit_record
from seatrial.data.images import LabelledImage
from seatrial.evaluation.flips import choose_flips, keep_flips
from seatrial.evaluation.reference import ReferencePredictions
from seatrial.progress import Update
from seatrial.store.flips import MOST_FLIPS, FlipsRecord, load_flips, sort_flips
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord


def predict(labels: list[int], firsts: list[int], margins: list[float]) -> Predictions:
    """Predictions of images 00, 01, … of three classes; the second class has a score of 0, the third −∞ as good as."""
    first, best = np.array(firsts, np.int32), np.array(margins, np.float32)
    return Predictions(
        tuple(f"{row:02d}" for row in range(len(labels))),
        np.array(labels, np.int32),
        np.stack([first, (first + 1) % 3], axis=1),
        np.stack([best, 0 * best], axis=1),
        np.log1p(np.exp(best)).astype(np.float32),
    )


LABELS = [0, 0, 0, 1, 1, 2, 2]
BEFORE = predict(LABELS, [0, 0, 0, 0, 0, 2, 2], [1.0] * 7)
AFTER = predict(LABELS, [1, 1, 0, 1, 2, 2, 0], [1.0, 3.0, 9.0, 8.0, 5.0, 9.0, 2.0])


def sigmoid(margin: float) -> float:
    return 1 / (1 + np.exp(-margin))


def test_confident_and_now_wrong_comes_first() -> None:
    found = choose_flips(BEFORE, AFTER)
    assert [(flip.image, flip.kind) for flip in found] == [
        *(("01", "lost"), ("06", "lost"), ("00", "lost")),
        *(("04", "wrong in both"), ("03", "gained")),
    ]
    surest = found[0]
    assert (surest.label, surest.reference, surest.predicted, surest.margin) == (0, 0, 1, 3.0)
    assert surest.confidence == pytest.approx(sigmoid(3.0), abs=1e-6)
    assert surest.reference_confidence == pytest.approx(sigmoid(1.0), abs=1e-6)
    assert surest.thumbnail == surest.data_uri == ""


def test_margins_rank_where_confidences_are_not_stored() -> None:
    bare = [replace(each, log_denominators=None) for each in (BEFORE, AFTER)]
    found = choose_flips(*bare)
    assert [flip.image for flip in found] == ["01", "06", "00", "04", "03"]
    assert {(flip.confidence, flip.reference_confidence) for flip in found} == {(None, None)}


def test_without_labels_nobody_knows_what_a_flip_means() -> None:
    found = choose_flips(replace(BEFORE, labels=None), replace(AFTER, labels=None))
    assert [flip.image for flip in found] == ["03", "04", "01", "06", "00"]
    assert {(flip.kind, flip.label) for flip in found} == {("not known", None)}


def test_rows_are_sorted_by_what_a_flip_means() -> None:
    rows = sort_flips(BEFORE.classes[:, 0], AFTER.classes[:, 0], AFTER.labels)
    assert {kind: found.tolist() for kind, found in rows.items()} == {
        "lost": [0, 1, 6],
        "gained": [3],
        "wrong in both": [4],
    }
    assert next(iter(rows)) == "lost"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_run(tmp_path_factory.mktemp("flips") / "run", Trial())


@pytest.fixture
def kept(run: Path, tmp_path: Path) -> tuple[AccuracyRecord, Path]:
    """An engine's record of 540 images, and a folder with the flips that were kept of it: only 40 have a file."""
    folder = run / "evaluation"
    record = AccuracyRecord.load(folder / "openvino-bf16.json")
    ours = Predictions.load(folder / "openvino-bf16.parquet")
    noise = list_noise(tmp_path, 40)
    images = [LabelledImage(name, image.path, 0) for name, image in zip(ours.ids, noise, strict=False)]
    pair = (ReferencePredictions.load(folder / "torch.parquet"), replace(ours, contents=None))
    out = tmp_path / "out"
    keep_flips(out, record, pair, images, make_recipe())
    return record, out


def test_flips_are_kept_with_the_pictures_that_are_at_hand(kept: tuple[AccuracyRecord, Path]) -> None:
    record, out = kept
    found = load_flips(out, record.name, record)
    assert found is not None and record.versus is not None
    assert found.changed == record.versus.changed > 0 and len(found.flips) == min(MOST_FLIPS, found.changed)
    for flip in found.flips:
        assert base64.b64decode(flip.thumbnail)[:2] == b"\xff\xd8"
        assert flip.data_uri.startswith("data:image/jpeg;base64,/9j/")


def test_flips_of_other_predictions_or_damaged_ones_are_none(kept: tuple[AccuracyRecord, Path]) -> None:
    record, out = kept
    path = out / f"{record.name}.flips.json"
    assert record.versus is not None
    others = (
        record.model_copy(update={"predictions_sha256": "0" * 64}),
        record.model_copy(update={"versus": None}),
        record.model_copy(update={"versus": record.versus.model_copy(update={"reference_sha256": "0" * 64})}),
    )
    assert [load_flips(out, record.name, other) for other in others] == [None] * 3
    assert load_flips(out, "another", record) is None
    data = json.loads(path.read_text())
    data["flips"][0]["thumbnail"] = '/9j/"><script>'
    path.write_text(json.dumps(data))
    edit_record(path)
    assert load_flips(out, record.name, record) is None
    path.write_text("{")
    assert load_flips(out, record.name, record) is None


def test_they_are_written_once_and_a_folder_that_cannot_be_written_fails_nothing(
    kept: tuple[AccuracyRecord, Path], run: Path, tmp_path: Path
) -> None:
    record, out = kept
    pair = tuple(run / "evaluation" / f"{name}.parquet" for name in ("torch", record.name))
    loaded = (ReferencePredictions.load(pair[0]), Predictions.load(pair[1]))
    before = (out / f"{record.name}.flips.json").read_bytes()
    keep_flips(out, record, loaded, [], make_recipe())
    assert (out / f"{record.name}.flips.json").read_bytes() == before
    notes: list[Update] = []
    (tmp_path / "file").write_text("")
    keep_flips(tmp_path / "file", record, loaded, [], make_recipe(), notes.append)
    assert len(notes) == 1 and notes[0].note.startswith(f"{record.name}: flipped images are not kept (")
    assert FlipsRecord.load(out / f"{record.name}.flips.json").reference == "torch"
