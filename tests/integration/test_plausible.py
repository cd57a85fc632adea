"""Nonsense that no other gate sees leaves every verdict open: labels off by one, BGR images, one picture many times."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from planted_faults import make_diagnosed_trial, move_labels
from seatrial.cli import run_cli
from seatrial.data.labels import list_images
from seatrial.store.files import hash_file
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord, Suspicion, Verdict
from tiny_trial import CLASSES, TinyTrial


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> TinyTrial:
    """A network that is right for every image, and a card that looks whether that can be believed."""
    made = make_diagnosed_trial(tmp_path_factory.mktemp("plausible") / "tiny")
    made.card.write_text(made.card.read_text().replace("plausible = false\n", ""))
    return made


@pytest.fixture(scope="module")
def sound(trial: TinyTrial) -> Path:
    """The folder of a run that passes; read only."""
    folder = trial.folder / "sound"
    assert run_cli(trial.run_arguments(folder, "--engines", "onnxruntime", "--batch-size", "1")) == 0
    return folder


@pytest.fixture(scope="module")
def engine(sound: Path) -> Path:
    return Path(shutil.copytree(sound / "engines" / "onnxruntime", sound.with_name("ort")))


def run_again(trial: TinyTrial, sound: Path, folder: Path, moved: Path, card: Path) -> int:
    """The run in a folder that has its graph and engines already, with other labels or another card."""
    shutil.copytree(sound, folder)
    words = trial.run_arguments(folder, "--engines", "onnxruntime", "--batch-size", "1")
    words[1], words[words.index(str(trial.labels))] = str(card), str(moved)
    return run_cli(words)


@pytest.fixture(scope="module")
def moved(trial: TinyTrial) -> Path:
    return move_labels(trial.labels, trial.folder / "moved.txt", CLASSES, wrap=True)


def evaluate(engine: Path, images: Path, labels: Path, output: Path, *more: str) -> int:
    return run_cli(
        ["evaluate", str(engine), "--images", str(images), "--labels", str(labels), "--output", str(output), *more]
    )


def test_a_sound_evaluation_raises_nothing(
    engine: Path, trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(engine, trial.images, trial.labels, tmp_path) == 0
    assert "INCONCLUSIVE" not in capsys.readouterr().out
    record = AccuracyRecord.load(tmp_path / "ort.json")
    assert (record.suspicions, record.unchecked, record.doubts) == ((), "", ())
    again = ["--reference", str(tmp_path / "ort.parquet"), "--gate-pp", "20"]
    assert evaluate(engine, trial.images, trial.labels, tmp_path / "again", *again) == 0
    assert evaluate(engine, trial.images, trial.labels, tmp_path / "early", *again, "--until-certain") in (0, 7)
    assert "cannot lose" not in capsys.readouterr().out


def test_labels_off_by_one_leave_every_verb_open(
    engine: Path, trial: TinyTrial, moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "INCONCLUSIVE: the network's first class is the label minus 1 for 100.0% of 24 images"
    assert evaluate(engine, trial.images, moved, tmp_path) == 7
    shown = capsys.readouterr().out
    assert told in shown and "INCONCLUSIVE: top-1 of 0.00% is not above chance" in shown
    predictions = tmp_path / "ort.parquet"
    gated = ["--reference", str(predictions), "--gate-pp", "20"]
    assert evaluate(engine, trial.images, moved, tmp_path / "gated", *gated) == 7
    assert "PASS: top-1 fell 0.00 points" in (shown := capsys.readouterr().out) and told in shown
    assert evaluate(engine, trial.images, moved, tmp_path / "until", *gated, "--until-certain") == 7
    assert told in capsys.readouterr().out
    # A finished evaluation that is found again says the same.
    assert evaluate(engine, trial.images, moved, tmp_path) == 7
    assert told in capsys.readouterr().out
    other = shutil.copy(predictions, tmp_path / "other.parquet")
    assert run_cli(["compare", str(predictions), str(other), "--gate-pp", "20"]) == 7
    assert "INCONCLUSIVE: other: the network's first class is the label minus 1" in capsys.readouterr().out
    assert run_cli(["compare", str(predictions), str(other)]) == 0
    assert "doubt: ort: the network's first class is the label minus 1" in capsys.readouterr().out
    assert run_cli(["compare", str(predictions), str(other), "--gate-pp", "20", "--labels", str(trial.labels)]) == 0
    capsys.readouterr()
    assert run_cli(["compare", str(predictions), str(other), "--gate-pp", "20", "--json"]) == 7
    found = json.loads(capsys.readouterr().out)
    assert {gate["gate"] for gate in found["suspected"]} == {"plausible"}


@pytest.mark.parametrize("recorded", [True, False])
def test_a_reference_at_chance_leaves_the_verdict_of_a_sound_engine_open(
    engine: Path, trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str], recorded: bool
) -> None:
    assert evaluate(engine, trial.images, trial.labels, tmp_path) == 0
    sound, path = Predictions.load(tmp_path / "ort.parquet"), tmp_path / "untrained.parquet"
    # Always the same class, as a network gives whose weights are not trained.
    replace(sound, classes=np.tile(np.arange(CLASSES, dtype=np.int32), (len(sound.ids), 1))).save(path)
    if recorded:
        record = AccuracyRecord.load(tmp_path / "ort.json")
        suspicion = Suspicion(kind="channels", reason="found with the images at hand", fix="look")
        names = {"name": "untrained", "predictions": path.name, "predictions_sha256": hash_file(path)}
        record.model_copy(update={**names, "suspicions": (suspicion,)}).save(tmp_path / "untrained.json")
    told = "INCONCLUSIVE: untrained: top-1 of "
    gated = ["--reference", str(path), "--gate-pp", "20"]
    for number, more in enumerate(([], ["--until-certain"])):
        capsys.readouterr()
        assert evaluate(engine, trial.images, trial.labels, tmp_path / str(number), *gated, *more) == 7
        shown = capsys.readouterr().out
        assert "PASS: top-1 fell −" in shown and told in shown
        assert ("untrained: found with the images at hand" in shown) == recorded
    # A finished evaluation that is found again says the same.
    assert evaluate(engine, trial.images, trial.labels, tmp_path / "0", *gated) == 7
    assert told in capsys.readouterr().out


def test_a_run_on_labels_off_by_one_is_inconclusive_and_says_why(
    trial: TinyTrial, sound: Path, moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_again(trial, sound, tmp_path / "run", moved, trial.card) == 7
    shown = capsys.readouterr().out
    assert "INCONCLUSIVE torch plausible: the network's first class is the label minus 1" in shown
    assert "INCONCLUSIVE: the predictions of torch and onnxruntime are not plausible." in shown
    verdict = Verdict.load(tmp_path / "run" / "verdict.json")
    assert {gate.outcome for gate in verdict.gates if gate.gate == "reference_drop_pp"} == {"PASS"}
    report = (tmp_path / "run" / "report.md").read_text()
    assert "plausible" in report and "seatrial data check" in report
    assert run_cli(["report", str(sound)]) == 0
    assert "PASS: onnxruntime keeps the accuracy of torch on 24 images." in capsys.readouterr().out


def test_bgr_images_are_told_from_their_channels(
    engine: Path, trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "val"
    images.mkdir()
    for path in list_images(trial.images):
        # Lossless, so that swapping them back gives the pixels that the network was fitted on.
        Image.fromarray(np.asarray(Image.open(path).convert("RGB"))[..., ::-1]).save(images / path.name, "PNG")
    assert evaluate(engine, images, trial.labels, tmp_path / "bgr") == 7
    assert "INCONCLUSIVE: with red and blue swapped" in capsys.readouterr().out


def test_one_picture_under_many_names_with_many_labels_is_reported(
    engine: Path, trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, source = tmp_path / "val", list_images(trial.images)[0]
    images.mkdir()
    for index in range(30):
        shutil.copy(source, images / f"a{index:02d}.JPEG")
    (tmp_path / "labels.txt").write_text("".join(f"a{index:02d}.JPEG {index % CLASSES}\n" for index in range(30)))
    assert evaluate(engine, images, tmp_path / "labels.txt", tmp_path / "out") == 7
    shown = capsys.readouterr().out
    assert "INCONCLUSIVE: 30 of 30 images are equal to another that has another label, first a00.JPEG (0) and" in shown
    assert "INCONCLUSIVE: of 30 images only 1 are different" in shown
    predictions = str(tmp_path / "out" / "ort.parquet")
    assert run_cli(["compare", predictions, predictions, "--gate-pp", "20"]) == 7
    assert "30 of 30 images are equal to another" in capsys.readouterr().out


def test_a_card_switches_it_off_and_the_records_say_so(
    trial: TinyTrial, sound: Path, moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "off.toml"
    card.write_text(trial.card.read_text().replace("[gates]\n", "[gates]\nplausible = false\n"))
    assert run_again(trial, sound, tmp_path / "run", moved, card) == 0
    records = [
        AccuracyRecord.load(tmp_path / "run" / "evaluation" / f"{name}.json") for name in ("torch", "onnxruntime")
    ]
    assert all("the card switches it off" in record.unchecked and not record.suspicions for record in records)
    assert "nothing checked whether its predictions are plausible" in (tmp_path / "run" / "report.md").read_text()
    files = [str(tmp_path / "run" / "evaluation" / f"{name}.parquet") for name in ("torch", "onnxruntime")]
    capsys.readouterr()
    assert run_cli(["compare", *files, "--gate-pp", "20"]) == 0


def test_many_other_predictions_are_not_a_sound_engine(
    engine: Path, trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reference that is right for as many images, but for others."""
    evaluate(engine, trial.images, trial.labels, tmp_path)
    own = Predictions.load(tmp_path / "ort.parquet")
    rows = np.arange(len(own.ids))
    ours, theirs = ((own.labels + (rows % 2 == part)) % CLASSES for part in (0, 1))
    for name, answers in (("ours", ours), ("theirs", theirs)):
        classes = ((answers[:, None] + np.arange(4)) % CLASSES).astype(np.int32)
        Predictions(own.ids, own.labels, classes, own.scores).save(tmp_path / f"{name}.parquet")
    capsys.readouterr()
    files = [str(tmp_path / "theirs.parquet"), str(tmp_path / "ours.parquet")]
    assert run_cli(["compare", *files, "--gate-pp", "60"]) == 7
    assert "24 of 24 first classes (100.0%) differ from those of theirs" in capsys.readouterr().out
