"""A run, an evaluation and a comparison of images that nobody labelled."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from seatrial.cli import run_cli
from seatrial.errors import DataError
from seatrial.results.run_folder import read_run
from seatrial.store.predictions import Predictions
from seatrial.store.records import NO_LABELS, RunManifest
from tiny_trial import TinyTrial
from unlabelled_run import list_words


def test_a_folder_of_images_alone_is_judged_by_agreement(
    unlabelled_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = read_run(unlabelled_run / "trial")
    assert found.manifest.labels is None and not found.stale
    for record in found.accuracy.values():
        assert record.accuracy() is None and record.hits == () and record.metrics == {} and record.versus is None
        columns = pq.read_schema(unlabelled_run / "trial" / "evaluation" / record.predictions).names
        assert "label" not in columns
    agreement = found.accuracy["openvino"].agreement
    assert agreement is not None and (agreement.images, agreement.changed) == (24, 0)
    assert found.verdict is not None and found.verdict.outcome == "PASS"
    assert run_cli(["report", str(unlabelled_run / "trial")]) == 0
    said = capsys.readouterr().out
    assert "PASS: openvino agrees with onnxruntime on 24 images without labels" in said
    for page in ("report.md", "report.html"):
        text = (unlabelled_run / "trial" / page).read_text()
        assert NO_LABELS in text and "Agreement with the reference" in text


def test_what_counts_right_predictions_refuses_those_without_labels(unlabelled_run: Path) -> None:
    predictions = Predictions.load(unlabelled_run / "trial" / "evaluation" / "openvino.parquet")
    assert predictions.labels is None
    with pytest.raises(DataError, match=r"torch has no labels, so which .* give --labels FILE"):
        predictions.known_labels("torch")


def test_they_are_compared_and_labelled_later(
    unlabelled_run: Path, tiny_trial: TinyTrial, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(unlabelled_run / "trial" / "evaluation" / f"{name}.parquet") for name in ("onnxruntime", "openvino")]
    assert run_cli(["compare", *files, "--gate-pp", "30"]) == 0
    said = capsys.readouterr().out
    assert "24 of 24 first classes agree, 100.00%" in said and NO_LABELS in said and "top-1  " not in said
    assert run_cli(["compare", *files, "--labels", str(tiny_trial.labels)]) == 0
    assert "drop 0.00 points" in capsys.readouterr().out
    assert run_cli(["compare", str(unlabelled_run / "trial"), str(unlabelled_run / "trial")]) == 2


def test_an_engine_is_evaluated_without_labels(
    unlabelled_run: Path, tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(unlabelled_run / "trial" / "engines" / "openvino"), "--images", str(tiny_trial.images)]
    words += ["--output", str(tmp_path), "--batch-size", "16"]
    assert run_cli(words) == 6
    assert "--no-labels" in capsys.readouterr().err
    reference = str(unlabelled_run / "trial" / "evaluation" / "onnxruntime.parquet")
    assert run_cli([*words, "--no-labels", "--labels", "x.txt"]) == 2
    assert run_cli([*words, "--no-labels", "--reference", reference, "--until-certain"]) == 2
    capsys.readouterr()
    assert run_cli([*words, "--no-labels", "--reference", reference, "--gate-pp", "30"]) == 0
    said = capsys.readouterr().out
    assert NO_LABELS in said and "24 of 24 first classes agree" in said and "PASS" in said
    # Labels found later: another evaluation, compared with a reference that has none.
    assert run_cli([*words, "--labels", str(tiny_trial.labels), "--reference", reference]) == 0
    assert "drop 0.00 points" in capsys.readouterr().out


def test_labels_that_may_have_been_forgotten_are_named(
    unlabelled_run: Path, tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(unlabelled_run / "net.onnx", tmp_path)
    assert run_cli(list_words(tiny_trial, tiny_trial.images, tmp_path)) == 6
    said = capsys.readouterr().err
    assert f"give --labels {tiny_trial.labels}, or --no-labels" in said
    assert run_cli(list_words(tiny_trial, tiny_trial.images, tmp_path, "--no-labels", "--labels", "x.txt")) == 2
    command = RunManifest.load(unlabelled_run / "trial" / "run.json").command
    assert " --no-labels" not in command and "--labels" not in command
