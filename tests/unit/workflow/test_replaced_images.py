"""Image files replaced under their names, with equal sizes and times of change: nothing but their bytes tells."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seatrial.cli import run_cli
from seatrial.data.images import LabelledImage
from seatrial.data.labels import read_labels
from seatrial.data.sources import read_images
from seatrial.errors import NotComparable
from seatrial.progress import Update
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord
from seatrial.workflow.evaluate import EvaluateSpec, evaluate_engine
from tiny_trial import CLASSES, TinyTrial, make_trial

MODES = """
[modes.pixels]
preprocess = [{ step = "resize", short_side = 36 }, { step = "center_crop", size = [32, 32] }]
"""


def replace_file(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Other bytes, as many as before, and the same time of change."""
    stat, data = path.stat(), path.read_bytes()
    changed = change(data)
    assert len(changed) == len(data) and changed != data
    path.write_bytes(changed)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def flip_comment(data: bytes) -> bytes:
    """Another byte behind the end of the JPEG, so that the pixels stay."""
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> TinyTrial:
    """A trial whose files end in a byte that no decoder reads, a mode that writes its pixels, and an engine."""
    made = make_trial(tmp_path_factory.mktemp("template") / "tiny")
    for path in made.images.iterdir():
        path.write_bytes(path.read_bytes() + b"\0")
    made.card.write_text(made.card.read_text() + MODES)
    graph, folder = made.folder / "model.onnx", made.folder / "ort"
    words = ["--checkpoint", str(made.checkpoint), "--output", str(graph), "--fuse-preprocess"]
    assert run_cli(["export", str(made.card), *words]) == 0
    assert run_cli(["compile", str(graph), "--engine", "onnxruntime", "--output", str(folder)]) == 0
    return made


@pytest.fixture
def trial(template: TinyTrial, tmp_path: Path) -> TinyTrial:
    """A copy of the template, to be changed."""
    return TinyTrial(Path(shutil.copytree(template.folder, tmp_path / "tiny")))


@pytest.fixture
def engine(trial: TinyTrial) -> Path:
    return trial.folder / "ort"


def list_trial(trial: TinyTrial) -> tuple[LabelledImage, ...]:
    return read_labels(trial.images, trial.labels, CLASSES)


def evaluate(engine: Path, trial: TinyTrial, output: Path, **changes: object) -> tuple[AccuracyRecord, list[str]]:
    notes: list[str] = []
    spec = EvaluateSpec(list_trial(trial), **changes)  # type: ignore[arg-type]
    record = evaluate_engine(engine, spec, output, lambda update: notes.append(update.note))
    return record, [note for note in notes if note]


def test_a_finished_evaluation_is_done_anew(trial: TinyTrial, engine: Path, tmp_path: Path) -> None:
    first, _ = evaluate(engine, trial, tmp_path / "out")
    same, notes = evaluate(engine, trial, tmp_path / "out")
    assert same == first and notes == ["already evaluated: ort"]
    replaced = sorted(trial.images.iterdir())[3:5]
    for path in replaced:
        replace_file(path, flip_comment)
    other, notes = evaluate(engine, trial, tmp_path / "out")
    told = f"ort: 2 image files have changed since they were run ('{replaced[0].name}', '{replaced[1].name}')"
    assert f"{told}: all are evaluated again" in notes and "already evaluated: ort" not in notes
    assert other.images_hash == first.images_hash and other.contents_hash not in (None, first.contents_hash)
    assert evaluate(engine, trial, tmp_path / "out")[1] == ["already evaluated: ort"]


def test_an_evaluation_of_a_version_that_hashed_no_files_is_done_anew(
    trial: TinyTrial, engine: Path, tmp_path: Path
) -> None:
    evaluate(engine, trial, tmp_path / "out")
    path = tmp_path / "out" / "ort.parquet"
    found = Predictions.load(path)
    Predictions(found.ids, found.labels, found.classes, found.scores).save(path)
    assert "already evaluated: ort" not in evaluate(engine, trial, tmp_path / "out")[1]


@pytest.mark.parametrize("replaced", [0, 20])
def test_a_stopped_evaluation_goes_on_only_on_the_same_files(
    replaced: int, trial: TinyTrial, engine: Path, tmp_path: Path
) -> None:
    spec = EvaluateSpec(list_trial(trial), batch_size=4, decode_workers=1, streams=1)

    def stop(update: Update) -> None:
        if update.stage == "evaluate" and update.done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_engine(engine, spec, tmp_path / "out", stop)
    replace_file(sorted(trial.images.iterdir())[replaced], flip_comment)
    record, notes = evaluate(engine, trial, tmp_path / "out", batch_size=4, decode_workers=1, streams=1)
    anew = any("1 image files have changed since they were run" in note for note in notes)
    taken_up = any("are done already" in note for note in notes)
    assert (anew, taken_up) == ((True, False) if replaced == 0 else (False, True))
    whole, _ = evaluate(engine, trial, tmp_path / "whole", batch_size=4)
    assert record.contents_hash == whole.contents_hash and record.predictions_sha256 == whole.predictions_sha256


def test_a_reference_on_other_files_is_not_compared(trial: TinyTrial, engine: Path, tmp_path: Path) -> None:
    evaluate(engine, trial, tmp_path / "reference")
    replaced = sorted(trial.images.iterdir())[7]
    replace_file(replaced, flip_comment)
    told = rf"the image behind 1 of 24 ids is another one for ort than for ort, first '{replaced.name}'"
    with pytest.raises(NotComparable, match=told):
        evaluate(engine, trial, tmp_path / "out", reference=tmp_path / "reference" / "ort.parquet")


def test_a_reference_on_other_files_than_a_pack_holds_is_refused_before_any_image_is_run(
    trial: TinyTrial, engine: Path, tmp_path: Path
) -> None:
    evaluate(engine, trial, tmp_path / "reference")
    pack, replaced = tmp_path / "val.pack", sorted(trial.images.iterdir())[7]
    replace_file(replaced, flip_comment)
    words = ("data", "pack", trial.card, trial.images, "--labels", trial.labels, "--output", pack)
    assert run_words(*words) == 0
    told = rf"the image behind 1 of 24 ids is another one for ort than for ort, first '{replaced.name}'"
    spec = EvaluateSpec(read_images(pack, None, CLASSES).images, reference=tmp_path / "reference" / "ort.parquet")
    with pytest.raises(NotComparable, match=told):
        evaluate_engine(engine, spec, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bins_of_floats_and_of_pixels_are_compared_where_neither_tells_its_files(
    trial: TinyTrial, engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, floats = trial.folder / "plain.onnx", trial.folder / "plain"
    words = ("export", trial.card, "--checkpoint", trial.checkpoint, "--output", plain, "--no-fuse-preprocess")
    assert run_words(*words) == 0
    assert run_words("compile", plain, "--engine", "onnxruntime", "--output", floats) == 0
    for bins, mode in (("pixels", ["--mode", "pixels"]), ("floats", [])):
        assert run_words("preprocess", trial.card, trial.images, tmp_path / bins, *mode) == 0
        (tmp_path / bins / "bins.contents").unlink()
    labels = ("--labels", trial.labels, "--output", tmp_path / "out")
    assert run_words("evaluate", engine, "--images", tmp_path / "pixels", *labels) == 0
    against = ("--reference", tmp_path / "out" / "ort.parquet")
    assert run_words("evaluate", floats, "--images", tmp_path / "floats", *labels, *against) == 0
    assert "against ort: drop 0.00 points" in capsys.readouterr().out


def run_words(*words: object) -> int:
    return run_cli([str(word) for word in words])


def test_a_pack_is_written_anew(trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = tmp_path / "val.pack"
    words = ("data", "pack", trial.card, trial.images, "--labels", trial.labels, "--output", pack)
    assert run_words(*words) == run_words(*words) == 0
    assert f"already packed: {pack}" in capsys.readouterr().err
    replaced = sorted(trial.images.iterdir())[5]
    replace_file(replaced, flip_comment)
    assert run_words(*words) == 0
    told = capsys.readouterr().err
    assert f"1 image files have changed since they were packed ('{replaced.name}'): they are packed again" in told
    assert "already packed" not in told
    assert run_words(*words) == 0 and "already packed" in capsys.readouterr().err


def preprocess(trial: TinyTrial, bins: Path) -> int:
    return run_words("preprocess", trial.card, trial.images, bins, "--mode", "pixels")


def test_bins_are_evaluated_as_their_images_and_refused_once_changed(
    trial: TinyTrial, engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bins = tmp_path / "bins"
    assert preprocess(trial, bins) == 0
    words = ("evaluate", engine, "--images", bins, "--labels", trial.labels, "--output", tmp_path / "out")
    assert run_words(*words) == 0
    record, _ = evaluate(engine, trial, tmp_path / "images")
    made = AccuracyRecord.load(tmp_path / "out" / "ort.json")
    assert (
        made.contents_hash == record.contents_hash is not None and made.predictions_sha256 == record.predictions_sha256
    )
    changed = sorted(bins.glob("*.bin"))[9]
    replace_file(changed, lambda data: data[:100] + bytes([data[100] ^ 255]) + data[101:])
    for fresh in ([], ["--no-resume"]):
        capsys.readouterr()
        assert run_words(*words, *fresh) == 8
        assert f"image {changed} has changed since `seatrial preprocess` wrote it" in capsys.readouterr().err
    assert run_words("infer", engine, "--input", bins, "--output", tmp_path / "answers") == 8
    assert f"{changed} has changed since" in capsys.readouterr().err
    assert preprocess(trial, bins) == 0
    told = capsys.readouterr().err
    assert re.search(rf"1 of 24 files, or their images, have changed since .*first {changed.name}", told)
    assert run_words(*words) == 0
    assert AccuracyRecord.load(tmp_path / "out" / "ort.json").contents_hash == made.contents_hash


def test_a_bin_of_an_image_that_was_replaced_is_written_anew(
    trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert preprocess(trial, tmp_path / "bins") == 0
    before = {path.name: path.stat().st_ino for path in (tmp_path / "bins").glob("*.bin")}
    replace_file(sorted(trial.images.iterdir())[2], flip_comment)
    assert preprocess(trial, tmp_path / "bins") == 0
    assert "1 of 24 files, or their images, have changed" in capsys.readouterr().err
    after = {path.name: path.stat().st_ino for path in (tmp_path / "bins").glob("*.bin")}
    assert [name for name in before if after[name] != before[name]] == [sorted(before)[2]]


def test_a_bin_that_was_added_to_ours_is_named(
    trial: TinyTrial, engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bins, labels = tmp_path / "bins", tmp_path / "labels.txt"
    assert preprocess(trial, bins) == 0
    (bins / "strange.bin").write_bytes(bytes(32 * 32 * 3))
    labels.write_text(trial.labels.read_text() + "strange.JPEG 0\n")
    words = ("evaluate", engine, "--images", bins, "--labels", labels, "--output", tmp_path / "out")
    assert run_words(*words) == 6
    told = "of 25 bins, 1 are not those that `seatrial preprocess` wrote there"
    assert told in capsys.readouterr().err
    assert run_words("infer", engine, "--input", bins, "--output", tmp_path / "answers") == 6
    assert told in capsys.readouterr().err


def test_bins_from_elsewhere_have_the_content_of_their_own_bytes(
    trial: TinyTrial, engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bins = tmp_path / "bins"
    assert preprocess(trial, bins) == 0
    for name in ("bins.json", "bins.contents"):
        (bins / name).unlink()
    words = ("evaluate", engine, "--images", bins, "--labels", trial.labels, "--output", tmp_path / "out")
    assert run_words(*words) == 0
    found = Predictions.load(tmp_path / "out" / "ort.parquet")
    assert found.of_prepared and found.contents is not None and len(np.unique(found.contents)) == 24
    assert AccuracyRecord.load(tmp_path / "out" / "ort.json").contents_hash is None
    changed = sorted(bins.glob("*.bin"))[1]
    replace_file(changed, lambda data: data[::-1])
    capsys.readouterr()
    assert run_words(*words) == 0
    assert "1 image files have changed since they were run" in capsys.readouterr().err


def test_what_a_bin_was_made_of_gives_calibration_images_away(trial: TinyTrial, tmp_path: Path) -> None:
    assert preprocess(trial, tmp_path / "bins") == 0
    labels = tmp_path / "labels.txt"
    labels.write_text(trial.labels.read_text())
    listing = read_images(tmp_path / "bins", labels, CLASSES)
    for image in listing.images:
        data = (trial.images / image.id).read_bytes()
        assert image.content is not None and image.content[0] == len(data)


def test_damage_of_pixels_changes_an_evaluation_only_where_the_file_changed(trial: TinyTrial, tmp_path: Path) -> None:
    """What `flip_comment` does is seen by no decoder, so that the tests above prove that bytes are compared."""
    path = sorted(trial.images.iterdir())[0]
    before = np.asarray(Image.open(path))
    replace_file(path, flip_comment)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), before)
