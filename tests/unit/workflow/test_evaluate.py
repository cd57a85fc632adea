"""Evaluating a tiny network in onnxruntime: what is stored, what is refused, and when it stops."""

import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sealed import edit_json, edit_record, read_unsealed
from seatrial.cli import run_cli
from seatrial.data.images import LabelledImage
from seatrial.data.labels import read_labels
from seatrial.errors import DataError, EngineError, NotComparable, UsageError
from seatrial.evaluation.executor import Evaluation, LocalExecutor, Observations
from seatrial.evaluation.ledger import PredictionLedger
from seatrial.evaluation.pipeline import PredictionSource
from seatrial.evaluation.select import repeat_images
from seatrial.evaluation.stream import PredictionBatch
from seatrial.progress import Progress, Update
from seatrial.store.flips import load_flips
from seatrial.store.measurement import Throughput
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord
from seatrial.workflow.evaluate import EvaluateSpec, evaluate_engine
from tiny_trial import CLASSES, TinyTrial, make_trial


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> TinyTrial:
    return make_trial(tmp_path_factory.mktemp("evaluate") / "tiny")


@pytest.fixture(scope="module")
def engine(tiny_engines: Path, trial: TinyTrial) -> Path:
    return Path(shutil.copytree(tiny_engines / "engines" / "onnxruntime", trial.folder / "ort"))


@pytest.fixture(scope="module")
def images(trial: TinyTrial) -> tuple[LabelledImage, ...]:
    return read_labels(trial.images, trial.labels, CLASSES)


@pytest.fixture(scope="module")
def reference(engine: Path, images: tuple[LabelledImage, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    evaluate_engine(engine, EvaluateSpec(images), folder)
    return folder / "ort.parquet"


def test_what_is_stored_depends_on_neither_batch_nor_workers(
    engine: Path, images: tuple[LabelledImage, ...], reference: Path, tmp_path: Path
) -> None:
    record = evaluate_engine(engine, EvaluateSpec(images, 5, decode_workers=3, streams=3), tmp_path)
    assert (tmp_path / "ort.parquet").read_bytes() == reference.read_bytes()
    assert (record.images, record.left_out, record.batch_size, record.batch_invariant) == (24, {}, 5, True)
    assert record.batch_distance == 0 and record.contents_hash is not None
    pace = Throughput.load(tmp_path / "ort.throughput.json")
    assert (pace.key, pace.images, pace.decode_workers, pace.streams, pace.attempts) == (record.key, 24, 3, 3, 1)
    assert pace.images_per_s == pytest.approx(24 / pace.wall_s) and pace.first_prediction_s > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ort.json", "ort.parquet", "ort.throughput.json"]


def test_all_logits_are_stored_on_request(engine: Path, images: tuple[LabelledImage, ...], tmp_path: Path) -> None:
    evaluate_engine(engine, EvaluateSpec(images, keep_logits=True), tmp_path)
    table = pq.read_table(tmp_path / "ort.parquet")
    logits = np.array(table["logits"].to_pylist(), dtype=np.float32)
    assert logits.shape == (24, CLASSES)
    np.testing.assert_array_equal(logits.argmax(axis=1), Predictions.load(tmp_path / "ort.parquet").classes[:, 0])


@pytest.fixture
def spoilt(images: tuple[LabelledImage, ...], tmp_path: Path) -> tuple[LabelledImage, ...]:
    """The images, of which one is cut off."""
    broken = tmp_path / images[3].id
    broken.write_bytes(images[3].path.read_bytes()[:200])
    return (*images[:3], replace(images[3], path=broken), *images[4:])


def test_fewer_images_than_asked_are_no_accuracy(
    engine: Path, spoilt: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    with pytest.raises(DataError, match=rf"1 of 24 images have no prediction: image \S+{spoilt[3].id} is damaged"):
        evaluate_engine(engine, EvaluateSpec(spoilt), output)
    assert not (output / "ort.json").exists()
    told: list[str] = []
    spec = EvaluateSpec(spoilt, allow_partial=True)
    record = evaluate_engine(engine, spec, output, lambda update: told.append(update.note))
    assert any("23 of 24 images are done already" in note for note in told)
    assert record.images == 23 and list(record.left_out) == [spoilt[3].id]
    assert Predictions.load(output / "ort.parquet").ids == tuple(i.id for i in spoilt if i is not spoilt[3])
    with pytest.raises(DataError, match="1 of 24 images have no prediction"):
        evaluate_engine(engine, EvaluateSpec(spoilt), output)


def test_surplus_bytes_are_counted_and_change_nothing(
    engine: Path, images: tuple[LabelledImage, ...], reference: Path, tmp_path: Path
) -> None:
    padded = []
    for image in images[3:5]:
        data = image.path.read_bytes()
        (tmp_path / image.id).write_bytes(data[:-2] + bytes(40) + data[-2:])
        padded.append(replace(image, path=tmp_path / image.id))
    told: list[str] = []
    spec = EvaluateSpec((*images[:3], *padded, *images[5:]), decode_workers=2)
    record = evaluate_engine(engine, spec, tmp_path / "out", lambda update: told.append(update.note))
    note = f"2 images (first '{images[3].id}') have surplus zeros before the end marker, which no pixel is made of"
    assert record.notes == (note,) and f"ort: {note}" in told
    assert AccuracyRecord.load(tmp_path / "out" / "ort.json").notes == (note,)
    found, expected = (Predictions.load(path) for path in (tmp_path / "out" / "ort.parquet", reference))
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_missing_images_are_refused_before_any_work(
    engine: Path, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    missing = {"gone.JPEG": "gone.JPEG is labelled and not there"}
    with pytest.raises(DataError, match=r"1 of 25 images have no prediction: gone\.JPEG is labelled"):
        evaluate_engine(engine, EvaluateSpec(images, missing=missing), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    spec = EvaluateSpec(images, missing=missing, allow_partial=True)
    assert evaluate_engine(engine, spec, tmp_path / "out").left_out == missing


def test_no_readable_image_is_no_accuracy_either(
    engine: Path, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    gone = tuple(replace(image, path=image.path.with_name("gone")) for image in images)
    with pytest.raises(DataError, match="cannot be read"):
        evaluate_engine(engine, EvaluateSpec(gone, allow_partial=True), tmp_path)


def test_a_part_is_compared_with_a_whole_reference(
    engine: Path, images: tuple[LabelledImage, ...], reference: Path, tmp_path: Path
) -> None:
    record = evaluate_engine(engine, EvaluateSpec(images[::2], reference=reference), tmp_path / "part")
    assert record.versus is not None
    assert (record.versus.images, record.versus.changed) == (12, 0)
    with pytest.raises(NotComparable, match=r"ort lacks 12 of the 24 images .* first 'image_001\.JPEG'"):
        evaluate_engine(engine, EvaluateSpec(images, reference=tmp_path / "part" / "ort.parquet"), tmp_path / "whole")


def test_flips_are_kept_beside_the_predictions_with_pictures_of_the_images(
    engine: Path, images: tuple[LabelledImage, ...], reference: Path, tmp_path: Path
) -> None:
    own = Predictions.load(reference)
    first = dict(zip(own.ids, own.classes[:, 0].tolist(), strict=True))
    other = {images[2].id: 1, images[7].id: 2}
    path = make_reference(
        tmp_path / "other.parquet", images, lambda i: (first[images[i].id] + other.get(images[i].id, 0)) % CLASSES
    )
    record = evaluate_engine(engine, EvaluateSpec(images, reference=path), tmp_path / "out")
    found = load_flips(tmp_path / "out", "ort", record)
    assert found is not None and found.changed == 2 and {flip.image for flip in found.flips} == other.keys()
    confidences = own.confidences()
    assert confidences is not None
    for flip in found.flips:
        assert flip.confidence == pytest.approx(confidences[own.ids.index(flip.image), 0], abs=1e-6)
        assert flip.reference_confidence is None and flip.thumbnail
    # Compared again with the engine's own predictions there is none, and the record says so.
    record = evaluate_engine(engine, EvaluateSpec(images, reference=reference), tmp_path / "out")
    again = load_flips(tmp_path / "out", "ort", record)
    assert again is not None and (again.changed, again.flips) == (0, ())


def make_reference(path: Path, images: tuple[LabelledImage, ...], judge: Callable[[int], int]) -> Path:
    """Predictions for repeated images, whose first class `judge` gives by the image's index."""
    order = sorted(range(len(images)), key=lambda index: images[index].id)
    first = np.array([judge(index) for index in order])
    classes = (first[:, None] + np.arange(4)) % CLASSES
    labels = np.array([images[index].label for index in order], dtype=np.int32)
    scores = np.tile(np.arange(4, 0, -1, dtype=np.float32), (len(order), 1))
    Predictions(tuple(images[i].id for i in order), labels, classes.astype(np.int32), scores).save(path)
    return path


def test_it_stops_as_soon_as_the_verdict_is_certain(
    engine: Path, images: tuple[LabelledImage, ...], reference: Path, tmp_path: Path
) -> None:
    many = repeat_images(images, 1500)
    own = Predictions.load(reference)
    first_of = dict(zip(own.ids, own.classes[:, 0], strict=True))
    same = make_reference(tmp_path / "same.parquet", many, lambda index: int(first_of[many[index].id.split("#")[0]]))
    spec = EvaluateSpec(many, reference=same, until_pp=10.0)
    record = evaluate_engine(engine, spec, tmp_path / "pass")
    assert record.early_stopping is not None and record.versus is not None
    assert (record.early_stopping.outcome, record.early_stopping.of_images) == ("PASS", 1500)
    assert record.images in (100, 200) and record.versus.changed == 0
    assert record.versus.confidence == record.early_stopping.confidence > 0.95
    right = make_reference(tmp_path / "right.parquet", many, lambda index: many[index].label)
    failed = evaluate_engine(engine, replace(spec, reference=right), tmp_path / "fail")
    assert failed.early_stopping is not None and failed.early_stopping.outcome == "FAIL" and failed.images == 100
    surer = evaluate_engine(engine, replace(spec, until_alpha=0.001), tmp_path / "surer")
    assert surer.early_stopping is not None and surer.key != record.key
    assert surer.early_stopping.confidence > record.early_stopping.confidence and surer.images >= record.images


def test_a_verdict_that_falls_early_needs_every_image_and_a_reference(
    engine: Path, spoilt: tuple[LabelledImage, ...], reference: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="give --reference"):
        evaluate_engine(engine, EvaluateSpec(spoilt, until_pp=1.0), tmp_path / "out")
    spec = EvaluateSpec(spoilt, reference=reference, until_pp=1.0)
    with pytest.raises(DataError, match=r"is damaged .* early stopping needs every image"):
        evaluate_engine(engine, spec, tmp_path / "out")
    with pytest.raises(UsageError, match="leave --allow-partial out"):
        evaluate_engine(engine, replace(spec, allow_partial=True), tmp_path / "out")


def evaluate_by_words(trial: TinyTrial, engine: Path, output: Path, *more: str) -> int:
    words = ["evaluate", str(engine), "--images", str(trial.images), "--labels", str(trial.labels)]
    return run_cli([*words, "--output", str(output), *more])


def test_the_command_judges_a_gate(
    trial: TinyTrial, engine: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    against = ["--reference", str(reference)]
    assert evaluate_by_words(trial, engine, tmp_path, *against, "--gate-pp", "30") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("PASS: top-1 fell 0.00 points against ort")
    assert evaluate_by_words(trial, engine, tmp_path, *against, "--gate-pp", "1") == 7
    assert evaluate_by_words(trial, engine, tmp_path, *against, "--until-certain") == 0
    assert "certain after 24 of 24 images" in capsys.readouterr().out
    assert evaluate_by_words(trial, engine, tmp_path, "--gate-pp", "1") == 2


def test_the_command_takes_a_stratified_part(trial: TinyTrial, engine: Path, tmp_path: Path) -> None:
    assert evaluate_by_words(trial, engine, tmp_path / "a", "--limit", "8", "--seed", "3") == 0
    found = Predictions.load(tmp_path / "a" / "ort.parquet")
    assert np.bincount(found.labels).tolist() == [2, 2, 2, 2]
    assert evaluate_by_words(trial, engine, tmp_path / "b", "--limit", "8", "--seed", "4") == 0
    assert Predictions.load(tmp_path / "b" / "ort.parquet").ids != found.ids
    assert evaluate_by_words(trial, engine, tmp_path, "--limit", "25") == 2
    assert evaluate_by_words(trial, engine, tmp_path, "--limit", "2", "--fake-images", "99") == 2


def test_the_command_prints_its_record(
    trial: TinyTrial, engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate_by_words(trial, engine, tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out) == read_unsealed(tmp_path / "ort.json")
    assert AccuracyRecord.load(tmp_path / "ort.json").images == 24


def test_every_kind_of_source_gives_the_same_bytes(
    trial: TinyTrial, engine: Path, reference: Path, tmp_path: Path
) -> None:
    labels = ["--labels", str(trial.labels)]
    pack, shard, listed = tmp_path / "val.pack", tmp_path / "val.tar", tmp_path / "val.txt"
    assert run_cli(["data", "pack", str(trial.card), str(trial.images), *labels, "--output", str(pack)]) == 0
    with tarfile.open(shard, "w") as archive:
        for path in sorted(trial.images.iterdir(), reverse=True):
            archive.add(path, path.name)
    listed.write_text("".join(f"{path}\n" for path in sorted(trial.images.iterdir())))
    for number, (source, more) in enumerate(((pack, []), (shard, labels), (listed, labels))):
        output = tmp_path / str(number)
        assert run_cli(["evaluate", str(engine), "--images", str(source), *more, "--output", str(output)]) == 0
        assert (output / "ort.parquet").read_bytes() == reference.read_bytes()
    whole, packed = (AccuracyRecord.load(folder / "ort.json") for folder in (reference.parent, tmp_path / "0"))
    assert whole.images_hash == packed.images_hash


def test_other_labels_in_the_reference_are_refused_before_any_image_is_run(
    engine: Path, images: tuple[LabelledImage, ...], reference: Path, tmp_path: Path
) -> None:
    relabelled = tuple(replace(image, label=(image.label + 1) % CLASSES) for image in images)
    with pytest.raises(NotComparable, match="ort was evaluated with other labels: 24 differ"):
        evaluate_engine(engine, EvaluateSpec(relabelled, reference=reference), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_repeated_images_are_no_accuracy(
    trial: TinyTrial, engine: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate_by_words(trial, engine, tmp_path, "--fake-images", "100") == 0
    assert capsys.readouterr().out == "ort: 100 images, many of them the same under several names: no accuracy\n"
    assert AccuracyRecord.load(tmp_path / "ort.json").fake
    assert evaluate_by_words(trial, engine, tmp_path, "--fake-images", "100", "--reference", str(reference)) == 2


def test_no_more_is_made_than_there_are_images(
    trial: TinyTrial, engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = ("--batch-size", "1000000", "--workers", "500", "--streams", "500")
    assert evaluate_by_words(trial, engine, tmp_path, *many) == 0
    assert "1 decode workers, 1 streams, batches of 24" in capsys.readouterr().err


def test_an_evaluation_that_fails_leaves_no_older_one_in_its_place(
    engine: Path, images: tuple[LabelledImage, ...], spoilt: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    output = tmp_path / "output"
    evaluate_engine(engine, EvaluateSpec(images), output)
    with pytest.raises(DataError, match="1 of 24 images have no prediction"):
        evaluate_engine(engine, EvaluateSpec(spoilt), output)
    assert [path.name for path in output.iterdir() if not path.name.startswith(".")] == []


def test_an_evaluation_that_is_refused_leaves_the_older_one(
    engine: Path, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    record = evaluate_engine(engine, EvaluateSpec(images), tmp_path)
    with pytest.raises(UsageError, match=r"there is no file of predictions"):
        evaluate_engine(engine, EvaluateSpec(images, 5, reference=tmp_path / "none.parquet"), tmp_path)
    assert AccuracyRecord.load(tmp_path / "ort.json") == record


def make_answer() -> PredictionBatch:
    """To image 0 of a set."""
    one, two = np.zeros(1, np.uint64), np.zeros((1, 4), np.float32)
    none = one.astype(bool)
    return PredictionBatch(one.astype(np.int64), two.astype(np.int32), two, two[:, 0], none, one, one, width=4)


def test_an_engine_that_cannot_be_opened_leaves_older_results_and_their_ledger(
    engine: Path, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    class Refusing(LocalExecutor):
        """An engine that is refused when it is opened, as by its self-test."""

        @contextmanager
        def open(
            self, evaluation: Evaluation, observations: Observations, progress: Progress
        ) -> Iterator[PredictionSource]:
            raise EngineError("the device is busy")
            yield

    record = evaluate_engine(engine, EvaluateSpec(images), tmp_path)
    ledger = tmp_path / ".ort.ledger"
    with PredictionLedger(ledger, "of another evaluation", 2) as kept:
        kept.add([make_answer()], 1.0)
    before = ledger.read_bytes()
    with pytest.raises(EngineError, match="the device is busy"):
        evaluate_engine(engine, EvaluateSpec(images, 5), tmp_path, executor=Refusing())
    assert AccuracyRecord.load(tmp_path / "ort.json") == record and (tmp_path / "ort.parquet").is_file()
    assert ledger.read_bytes() == before
    evaluate_engine(engine, EvaluateSpec(images, 5), tmp_path)
    assert AccuracyRecord.load(tmp_path / "ort.json").batch_size == 5 and not ledger.exists()


def restore(image: LabelledImage, data: bytes) -> None:
    """Other bytes with the same time of change, as `cp -p` leaves them."""
    stat = image.path.stat()
    image.path.write_bytes(data)
    os.utime(image.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture
def damaged(images: tuple[LabelledImage, ...], tmp_path: Path) -> tuple[LabelledImage, ...]:
    """The images, of which one was overwritten with zeros: its size is what it was."""
    broken = tmp_path / images[3].id
    broken.write_bytes(bytes(images[3].path.stat().st_size))
    return (*images[:3], replace(images[3], path=broken), *images[4:])


def test_a_damaged_image_that_was_restored_is_read(
    engine: Path,
    images: tuple[LabelledImage, ...],
    damaged: tuple[LabelledImage, ...],
    reference: Path,
    tmp_path: Path,
) -> None:
    output, spec = tmp_path / "out", EvaluateSpec(damaged)
    for _ in range(2):
        with pytest.raises(DataError, match="1 of 24 images have no prediction"):
            evaluate_engine(engine, spec, output)
    restore(damaged[3], images[3].path.read_bytes())
    assert evaluate_engine(engine, spec, output).left_out == {}
    assert (output / "ort.parquet").read_bytes() == reference.read_bytes()


def test_an_image_that_was_left_out_and_restored_is_read(
    engine: Path, images: tuple[LabelledImage, ...], damaged: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    spec, told = EvaluateSpec(damaged, allow_partial=True), []
    assert list(evaluate_engine(engine, spec, tmp_path / "out").left_out) == [damaged[3].id]
    evaluate_engine(engine, spec, tmp_path / "out", lambda update: told.append(update.note))
    assert told[-1] == "already evaluated: ort"
    restore(damaged[3], images[3].path.read_bytes())
    record = evaluate_engine(engine, spec, tmp_path / "out", lambda update: told.append(update.note))
    assert record.images == 24
    assert f"ort: '{damaged[3].id}', which was left out, can be read now: all are evaluated again" in told


def test_an_image_that_was_run_and_is_damaged_since_is_left_out(
    engine: Path, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    copied = tuple(replace(image, path=tmp_path / image.id) for image in images)
    for image, copy in zip(images, copied, strict=True):
        copy.path.write_bytes(image.path.read_bytes())
    spec = EvaluateSpec(copied, batch_size=4, decode_workers=1, streams=1, allow_partial=True, identity="as a pack's")

    def stop(update: Update) -> None:
        if update.stage == "evaluate" and update.done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_engine(engine, spec, tmp_path / "out", stop)
    copied[0].path.unlink()
    record = evaluate_engine(engine, spec, tmp_path / "out")
    assert record.images == 23 and list(record.left_out) == [copied[0].id]


def test_predictions_are_not_compared_with_themselves(
    engine: Path, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    """What is written there would take the reference's place, and then nothing could be lost."""
    evaluate_engine(engine, EvaluateSpec(images), tmp_path)
    before = (tmp_path / "ort.parquet").read_bytes()
    with pytest.raises(UsageError, match=r"ort\.parquet is what this evaluation writes; choose another --output"):
        evaluate_engine(engine, EvaluateSpec(images, 5, reference=tmp_path / "ort.parquet"), tmp_path)
    assert (tmp_path / "ort.parquet").read_bytes() == before


def test_a_record_of_an_older_version_is_given_the_metrics_that_it_lacks(
    engine: Path, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    record = evaluate_engine(engine, EvaluateSpec(images), tmp_path)
    edit_json(tmp_path / "ort.json", lambda data: data["metrics"].pop("macro_recall"))
    notes: list[str] = []
    again = evaluate_engine(engine, EvaluateSpec(images), tmp_path, lambda update: notes.append(update.note))
    assert again.metrics == record.metrics and "macro_recall" in record.metrics
    assert notes[-1] == "already evaluated: ort"


def test_an_edited_record_is_evaluated_again_and_that_is_said(
    engine: Path, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    record = evaluate_engine(engine, EvaluateSpec(images), tmp_path)
    edit_record(tmp_path / "ort.json", hits=[24, 24, 24, 24])
    told: list[str] = []
    again = evaluate_engine(engine, EvaluateSpec(images), tmp_path, lambda update: told.append(update.note))
    assert again.hits == record.hits
    assert any("ort.json was edited or damaged: its hits are (24, (24, 24, 24, 24))" in note for note in told)


def test_an_evaluation_that_is_done_removes_the_ledger_that_a_killed_one_left(
    engine: Path, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    evaluate_engine(engine, EvaluateSpec(images[:4]), tmp_path)
    done = sorted(tmp_path.iterdir())
    (tmp_path / f".{engine.name}.ledger").touch()
    evaluate_engine(engine, EvaluateSpec(images[:4]), tmp_path)
    assert sorted(tmp_path.iterdir()) == done
