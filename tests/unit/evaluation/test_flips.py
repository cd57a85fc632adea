import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fake_engine import make_recipe
from noise_images import list_noise
from run_folder import Trial, build_run
from sealed import edit_record
from seatrial.data.images import LabelledImage
from seatrial.evaluation.flips import keep_flips
from seatrial.evaluation.reference import ReferencePredictions
from seatrial.progress import Update
from seatrial.store.flips import MOST_FLIPS, FlipsRecord, load_flips
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord


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
