"""`seatrial train` on a miniature data set: resumes to the same bits, is done once, and its checkpoint exports."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from full_disk import limited_files
from seatrial.cli import run_cli
from seatrial.errors import Interrupted, StorageError, TrainingDiverged, UsageError
from seatrial.progress import Update
from seatrial.store.records import CheckpointManifest, GraphManifest
from seatrial.store.training import TrainingRecord
from seatrial.train.checkpoint.snapshot import read_snapshot
from seatrial.train.tracking.events import Step
from seatrial.train.tracking.listeners import JsonLines
from seatrial.workflow import train_process
from seatrial.workflow.train import train_recipe
from seatrial.workflow.train_spec import TrainSpec
from tiny_training import FAST, make_card, make_data, read_until, start_training
from tiny_trial import TinyTrial


@pytest.fixture(scope="module")
def trained(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("trained")
    train_recipe(TrainSpec(str(tiny_trial.card), tiny_trial.folder, output))
    return output


def make_spec(trial: TinyTrial, output: Path, network: str = "test_resnet", **settings: Any) -> TrainSpec:
    """A training of eight steps in four epochs, with a snapshot after each step but an epoch's last."""
    card = make_card(trial, network)
    return TrainSpec(str(card), trial.folder, output, {**FAST, "epochs": 4, "checkpoint_every": 1, **settings})


@pytest.fixture(scope="module")
def undisturbed(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> TrainingRecord:
    return train_recipe(make_spec(tiny_trial, tmp_path_factory.mktemp("undisturbed")))


def compare(found: TrainingRecord, undisturbed: TrainingRecord) -> None:
    """The same weights to the bit, and the same course."""
    assert found.checkpoint_sha256 == undisturbed.checkpoint_sha256
    course = [(e.loss, e.train_top1, e.train_top5, e.val_top1, e.val_loss) for e in undisturbed.epochs]
    assert [(e.loss, e.train_top1, e.train_top5, e.val_top1, e.val_loss) for e in found.epochs] == course


def test_killed_at_several_steps_it_ends_in_the_same_bits(
    tiny_trial: TinyTrial, undisturbed: TrainingRecord, tmp_path: Path
) -> None:
    spec, kills = make_spec(tiny_trial, tmp_path), 0
    for word in ("train 2", "validate", "train 7"):
        process, messages = start_training(spec)
        if read_until(messages, word):
            process.kill()
            kills += 1
        process.join()
        assert process.exitcode == -signal.SIGKILL
    record = train_recipe(spec)
    compare(record, undisturbed)
    assert kills == 3 and 2 <= record.resumed <= 3
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".lock", "checkpoint.safetensors", "train.json", "train.jsonl"]


@pytest.mark.parametrize(("number", "word"), [(signal.SIGTERM, "train 3"), (signal.SIGINT, "validate")])
def test_a_signal_saves_and_leaves(
    number: signal.Signals, word: str, tiny_trial: TinyTrial, undisturbed: TrainingRecord, tmp_path: Path
) -> None:
    spec = make_spec(tiny_trial, tmp_path, checkpoint_every=None)
    process, messages = start_training(spec)
    assert read_until(messages, word)
    assert process.pid is not None
    os.kill(process.pid, number)
    assert read_until(messages, "; run the same command to resume")
    process.join()
    assert process.exitcode == 130
    record = train_recipe(spec)
    compare(record, undisturbed)
    assert record.resumed == 1


def test_a_validation_that_is_stopped_is_made_anew(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    data = make_data(tiny_trial, tmp_path / "data", val=65)
    notes: list[str] = []

    def stop(update: Update) -> None:
        notes.append(update.note)
        if update.stage == "validate" and update.done == 1 and not (tmp_path / "parted" / "snapshot.pt").exists():
            os.kill(os.getpid(), signal.SIGTERM)

    def make(name: str) -> TrainSpec:
        spec = make_spec(tiny_trial, tmp_path / name, epochs=1, checkpoint_every=None)
        return TrainSpec(spec.recipe, data, spec.output, spec.settings)

    whole = train_recipe(make("whole"))
    with pytest.raises(Interrupted, match="stopped after step 2 of 2"):
        train_recipe(make("parted"), stop)
    compare(train_recipe(make("parted"), stop), whole)
    assert "resuming after epoch 0 of 1, step 2 of 2" in notes
    assert whole.validation is not None and whole.validation.images == 65


def test_a_training_that_only_lacked_its_checkpoint_is_validated_again(
    tiny_trial: TinyTrial, undisturbed: TrainingRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    spec = make_spec(tiny_trial, tmp_path)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(train_process, "_finish", die)
        train_recipe(spec)
    record = train_recipe(spec)
    compare(record, undisturbed)
    assert record.validation is not None and undisturbed.validation is not None
    assert record.validation.loss == undisturbed.validation.loss


def test_a_log_that_cannot_be_written_stops_the_training(
    tiny_trial: TinyTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: JsonLines, step: Step) -> None:
        if step.step == 3:
            raise StorageError("no space left to write train.jsonl")

    monkeypatch.setattr(JsonLines, "on_step", fail)
    with pytest.raises(StorageError, match=r"train\.jsonl"):
        train_recipe(make_spec(tiny_trial, tmp_path))
    assert (tmp_path / "snapshot.pt").exists()


def test_a_signal_is_obeyed_at_the_end_of_a_step(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    notes: list[str] = []

    def collect(update: Update) -> None:
        notes.append(update.note)
        if update.done == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    spec = make_spec(tiny_trial, tmp_path)
    with pytest.raises(Interrupted, match=r"stopped after step [34] of 8; run the same command to resume"):
        train_recipe(spec, collect)
    train_recipe(spec, collect)
    assert any(note.startswith("resuming after epoch 1 of 4, step ") for note in notes)


def test_a_full_disk_leaves_a_good_snapshot(tiny_trial: TinyTrial, undisturbed: TrainingRecord, tmp_path: Path) -> None:
    limits = []

    def fill(update: Update) -> None:
        if update.done == 5 and not limits:
            limits.append(limited_files(100_000))
            limits[0].__enter__()

    spec = make_spec(tiny_trial, tmp_path)
    try:
        with pytest.raises(StorageError, match=r"snapshot\.pt cannot be written"):
            train_recipe(spec, fill)
    finally:
        limits[0].__exit__(None, None, None)
    assert (tmp_path / "snapshot.pt").exists() and not list(tmp_path.glob(".snapshot*"))
    compare(train_recipe(spec), undisturbed)


def test_a_damaged_snapshot_gives_way_to_the_one_before(
    tiny_trial: TinyTrial, undisturbed: TrainingRecord, tmp_path: Path
) -> None:
    spec, notes = make_spec(tiny_trial, tmp_path), []
    process, messages = start_training(spec)
    assert read_until(messages, "train 6")
    process.kill()
    process.join()
    newest = tmp_path / "snapshot.pt"
    newest.write_bytes(newest.read_bytes()[:-1000])
    record = train_recipe(spec, lambda update: notes.append(update.note))
    assert any("is damaged and now called snapshot.damaged.pt" in note for note in notes)
    compare(record, undisturbed)


@pytest.mark.parametrize(
    "settings",
    [
        {"ema": 0.9, "optimizer": "lars"},
        {"amp": "fp16", "loss_scale": "dynamic", "optimizer": "adamw", "learning_rate": 0.001},
        {"amp": "bf16", "accumulate": 2, "lr_schedule": "linear"},
    ],
)
def test_whatever_is_kept_of_a_training_is_in_its_snapshot(
    settings: dict[str, Any], tiny_trial: TinyTrial, tmp_path: Path
) -> None:
    def stop(update: Update) -> None:
        if update.done == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    whole = train_recipe(make_spec(tiny_trial, tmp_path / "whole", **settings))
    parted = make_spec(tiny_trial, tmp_path / "parted", **settings)
    with pytest.raises(Interrupted):
        train_recipe(parted, stop)
    compare(train_recipe(parted), whole)
    assert whole.precision == {"off": "fp32"}.get(settings.get("amp", "off"), settings.get("amp"))


def test_a_finished_training_is_not_done_again(
    tiny_trial: TinyTrial, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (trained / "checkpoint.safetensors").stat().st_mtime_ns
    for name in ("snapshot.pt", "snapshot.previous.pt"):  # As if killed before they were removed.
        (trained / name).touch()
    words = ["train", str(tiny_trial.card), "--data", str(tiny_trial.folder), "--output", str(trained)]
    assert run_cli(words) == 0
    assert (trained / "checkpoint.safetensors").stat().st_mtime_ns == before
    assert not list(trained.glob("snapshot*"))
    shown = capsys.readouterr()
    assert "already trained" in shown.err
    assert shown.out.splitlines()[0].split() == ["epoch", "loss", "train", "top-1", "held-out", "top-1", "images/s"]


def test_a_setting_that_changes_nothing_is_noted(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(tiny_trial.card), "--data", str(tiny_trial.folder), "--output", str(tmp_path)]
    assert (
        run_cli([*words, "--loss-scale", "1024", "--amp", "off", "--max-train-steps", "1", "--batch-size", "99"]) == 0
    )
    message = capsys.readouterr().err
    assert "--loss-scale has no effect with the other settings" in message
    assert "--batch-size 99 is reduced to the 24 training images" in message


def test_another_training_overwrites_none_without_force(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    def make(epochs: int, **how: Any) -> TrainSpec:
        return TrainSpec(str(tiny_trial.card), tiny_trial.folder, tmp_path, {"epochs": epochs}, **how)

    def stop(update: Update) -> None:
        if update.done == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    def list_files() -> dict[str, bytes]:
        # The lock says since when it is held.
        return {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != ".lock"}

    train_recipe(make(1))
    finished = list_files()
    with pytest.raises(
        UsageError, match=r"checkpoint\.safetensors is of another training \(epochs 1, now 2\); .*--force"
    ):
        train_recipe(make(2))
    assert list_files() == finished
    with pytest.raises(Interrupted):
        train_recipe(make(2, force=True), stop)
    stopped = list_files()
    for resume in ("auto", tmp_path / "snapshot.pt"):
        with pytest.raises(UsageError, match=r"snapshot\.pt \(epoch 1, step \d\) is of a training with other"):
            train_recipe(make(3, resume=resume))
    assert list_files() == stopped
    # What is left of the first does not keep the second from going on.
    assert len(train_recipe(make(2)).epochs) == 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_learns_what_a_plain_one_does(
    tiny_trial: TinyTrial, undisturbed: TrainingRecord, tmp_path: Path
) -> None:
    record = train_recipe(make_spec(tiny_trial, tmp_path, compile=True))
    for found, plain in zip(record.epochs, undisturbed.epochs, strict=True):
        assert found.loss == pytest.approx(plain.loss, rel=1e-3)
        assert found.val_loss == pytest.approx(plain.val_loss, rel=1e-2)
    # What is kept is the plain network.
    words = ["export", make_spec(tiny_trial, tmp_path).recipe, "--checkpoint", str(tmp_path / "checkpoint.safetensors")]
    assert run_cli([*words, "--output", str(tmp_path / "model.onnx")]) == 0


def test_what_begins_anew_goes_on_when_torchrun_restarts_it(
    tiny_trial: TinyTrial, undisturbed: TrainingRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(update: Update) -> None:
        if update.done == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    train_recipe(make_spec(tiny_trial, tmp_path, epochs=1))
    spec = replace(make_spec(tiny_trial, tmp_path), force=True)
    with pytest.raises(Interrupted):
        train_recipe(spec, stop)
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "TORCHELASTIC_RESTART_COUNT": "1"}.items():
        monkeypatch.setenv(name, value)
    record = train_recipe(spec)
    compare(record, undisturbed)
    assert record.resumed == 1


def test_a_loss_that_is_no_number_stops_and_leaves_the_last_good_snapshot(
    tiny_trial: TinyTrial, tmp_path: Path
) -> None:
    spec = make_spec(tiny_trial, tmp_path, learning_rate=1e30, warmup_epochs=0, max_train_steps=2)
    with pytest.raises(TrainingDiverged) as raised:
        train_recipe(spec)
    message = str(raised.value)
    assert message.startswith("the loss became nan at step 2 (epoch 1) with ")
    assert message.endswith("; try a smaller --learning-rate")
    named = (tmp_path / "diverged.txt").read_text().splitlines()
    assert len(named) == 12 and all(Path(name).is_file() for name in named)
    assert f"{named[2]} and 9 more (all in {tmp_path / 'diverged.txt'}); " in message
    assert f"; last good checkpoint: {tmp_path / 'snapshot.pt'} of step 1; " in message
    assert read_snapshot(tmp_path / "snapshot.pt").train_state.step == 1


def test_weights_that_went_bad_in_the_last_step_are_not_kept(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    spec = make_spec(tiny_trial, tmp_path, learning_rate=1e38, warmup_epochs=0, max_train_steps=1, weight_decay=1e3)
    with pytest.raises(TrainingDiverged, match="the weights are no longer finite after step 1; last"):
        train_recipe(spec)
    assert not (tmp_path / "snapshot.pt").exists()


def test_a_training_goes_on_from_a_file(tiny_trial: TinyTrial, undisturbed: TrainingRecord, tmp_path: Path) -> None:
    first = make_spec(tiny_trial, tmp_path / "first")

    def stop(update: Update) -> None:
        if update.done == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train_recipe(first, stop)
    snapshot = tmp_path / "moved.pt"
    (tmp_path / "first" / "snapshot.pt").rename(snapshot)

    def go_on(name: str, **settings: Any) -> TrainingRecord:
        spec = make_spec(tiny_trial, tmp_path / name, **settings)
        return train_recipe(TrainSpec(spec.recipe, spec.data, spec.output, spec.settings, resume=snapshot))

    # The same training, elsewhere.
    compare(go_on("same"), undisturbed)
    # Another one: from the beginning of the epoch that the snapshot was in.
    longer = go_on("longer", epochs=5)
    assert [e.epoch for e in longer.epochs] == [1, 2, 3, 4, 5] and longer.resumed == 1
    assert longer.key != undisturbed.key
    with pytest.raises(UsageError, match=r"there is no checkpoint .*snapshot\.pt"):
        train_recipe(TrainSpec(first.recipe, first.data, first.output, resume=first.output / "snapshot.pt"))


def test_weights_alone_are_a_beginning_and_no_going_on(tiny_trial: TinyTrial, trained: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    weights = trained / "checkpoint.safetensors"
    spec = TrainSpec(str(tiny_trial.card), tiny_trial.folder, tmp_path, {"max_train_steps": 1}, resume=weights)
    train_recipe(spec, lambda update: notes.append(update.note))
    assert f"{weights}: weights" in notes and not any("resuming" in note for note in notes)


def test_weights_are_validated_without_training(tiny_trial: TinyTrial, undisturbed: TrainingRecord) -> None:
    trained = undisturbed
    output = tiny_trial.folder / "validated"
    spec = make_spec(tiny_trial, output)
    train_recipe(spec)
    found = train_recipe(TrainSpec(spec.recipe, spec.data, output, spec.settings, evaluate_only=True))
    assert trained.validation is not None and found.validation is not None and found.epochs == ()
    assert (found.validation.top1, found.validation.loss) == (trained.validation.top1, trained.validation.loss)
    assert TrainingRecord.load(output / "validation.json") == found
    assert TrainingRecord.load(output / "train.json").checkpoint_sha256 == trained.checkpoint_sha256
    with pytest.raises(UsageError, match=r"there is no checkpoint in .* to validate; give --resume FILE"):
        train_recipe(TrainSpec(spec.recipe, spec.data, output / "none", evaluate_only=True))


def test_a_performance_run_keeps_the_record_alone(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    spec = make_spec(tiny_trial, tmp_path, epochs=7)
    found = train_recipe(TrainSpec(spec.recipe, spec.data, tmp_path, spec.settings, performance=True))
    assert [path.name for path in tmp_path.iterdir()] == ["training-speed.json"]
    assert found.speed is not None and (found.speed.steps, found.speed.skipped_steps) == (4, 10)
    assert found.performance and found.checkpoint == ""


def test_a_part_of_an_epoch_and_of_a_validation_is_shown(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    notes: list[str] = []
    spec = make_spec(tiny_trial, tmp_path, epochs=1, max_train_steps=1, max_eval_steps=1)
    record = train_recipe(spec, lambda update: notes.append(update.note))
    assert record.validation is not None and not record.validation.is_partial  # 24 images are one step
    assert len(notes) > 1 and record.epochs[0].loss > 0


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--data", "/nowhere"], 6, "data folder /nowhere is not there"),
        (["--learning-rate", "-1"], 2, "'--learning-rate': -1: Input should be greater than 0"),
        (["--epochs", "many"], 2, "--epochs"),
    ],
)
def test_what_cannot_be_trained_is_an_error(
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


def test_the_record_of_a_training_names_the_classes_by_their_folders(trained: Path) -> None:
    assert TrainingRecord.load(trained / "train.json").class_names == ("class_0", "class_1", "class_2", "class_3")


def test_what_train_writes_export_takes(tiny_trial: TinyTrial, trained: Path, tmp_path: Path) -> None:
    words = ["export", str(tiny_trial.card), "--checkpoint", str(trained / "checkpoint.safetensors")]
    assert run_cli([*words, "--output", str(tmp_path / "model.onnx")]) == 0
    manifest = GraphManifest.load(tmp_path / "model.onnx.json")
    assert manifest.recipe["labels"]["names"] == ["class_0", "class_1", "class_2", "class_3"]
    # BatchNorm's two numbers a channel are one bias in the graph.
    parameters = CheckpointManifest.load(tmp_path / "model.safetensors.json").parameters
    assert manifest.parameters is not None and 0.9 * parameters < manifest.parameters < parameters
    assert manifest.macs is not None and manifest.macs > manifest.parameters and "3×32×32" not in manifest.counted
