"""`seatrial train` on a miniature data set: resumes to the same bits, is done once, and its checkpoint exports."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from seatrial.cli import run_cli
from seatrial.errors import TrainingDiverged
from seatrial.progress import Update
from seatrial.store.records import TrainingRecord
from seatrial.workflow.training import TrainSpec, train_recipe
from tiny_trial import TinyTrial


@pytest.fixture(scope="module")
def trained(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("trained")
    train_recipe(TrainSpec(str(tiny_trial.card), tiny_trial.folder, output))
    return output


class _Stop(Exception):
    """What a test throws out of a training."""


def test_a_stopped_training_ends_in_the_same_bits(tiny_trial: TinyTrial, trained: Path, tmp_path: Path) -> None:
    def stop(update: Update) -> None:
        if "epoch 1/2" in update.note:
            stop.seen = True  # type: ignore[attr-defined]
        elif getattr(stop, "seen", False) and update.done:
            raise _Stop

    spec = TrainSpec(str(tiny_trial.card), tiny_trial.folder, tmp_path)
    with pytest.raises(_Stop):
        train_recipe(spec, stop)
    assert not (tmp_path / "checkpoint.safetensors").exists()
    notes: list[str] = []
    record = train_recipe(spec, lambda update: notes.append(update.note))
    assert "going on after epoch 1 of 2" in notes
    whole, resumed = load_file(trained / "checkpoint.safetensors"), load_file(tmp_path / "checkpoint.safetensors")
    assert all((whole[name] == resumed[name]).all() for name in whole)
    undisturbed = TrainingRecord.load(trained / "train.json")
    assert [e.loss for e in record.epochs] == [e.loss for e in undisturbed.epochs]
    assert not (tmp_path / "snapshot.pt").exists()


def test_a_finished_training_is_not_done_again(
    tiny_trial: TinyTrial, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (trained / "checkpoint.safetensors").stat().st_mtime_ns
    words = ["train", str(tiny_trial.card), "--data", str(tiny_trial.folder), "--output", str(trained)]
    assert run_cli(words) == 0
    assert (trained / "checkpoint.safetensors").stat().st_mtime_ns == before
    shown = capsys.readouterr()
    assert "already trained" in shown.err
    assert shown.out.splitlines()[0].split() == ["epoch", "loss", "train", "top-1", "held-out", "top-1", "images/s"]


def test_other_settings_are_another_training(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    def run(epochs: int) -> TrainingRecord:
        return train_recipe(TrainSpec(str(tiny_trial.card), tiny_trial.folder, tmp_path, {"epochs": epochs}))

    assert len(run(1).epochs) == 1 and len(run(2).epochs) == 2


def test_a_loss_that_is_no_number_stops(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    spec = TrainSpec(str(tiny_trial.card), tiny_trial.folder, tmp_path, {"learning_rate": 1e30})
    with pytest.raises(TrainingDiverged, match=r"the loss became \w+ at step \d+ .*; try a smaller --learning-rate"):
        train_recipe(spec)
    assert not (tmp_path / "checkpoint.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--data", "/nowhere"], 6, "data folder /nowhere is not there"),
        (["--learning-rate", "-1"], 2, "'--learning-rate': -1: Input should be greater than 0"),
        (["--epochs", "many"], 2, "--epochs"),
    ],
)
def test_what_cannot_be_trained_is_told(
    options: list[str],
    code: int,
    words: str,
    tiny_trial: TinyTrial,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["train", str(tiny_trial.card), "--output", str(tmp_path / "out"), *options]
    if "--data" not in options:
        arguments += ["--data", str(tiny_trial.folder)]
    assert run_cli(arguments) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and words in lines[0]
    assert not (tmp_path / "out").exists()


def test_what_train_writes_export_takes(tiny_trial: TinyTrial, trained: Path, tmp_path: Path) -> None:
    words = ["export", str(tiny_trial.card), "--checkpoint", str(trained / "checkpoint.safetensors")]
    assert run_cli([*words, "--output", str(tmp_path / "model.onnx")]) == 0
