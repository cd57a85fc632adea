"""One training on one, two and three processes: the same losses, the same counts, from one another's snapshots.

The network has no BatchNorm, whose statistics are each process's own: losses then differ by rounding alone.
"""

import shutil
from pathlib import Path

import pytest

from seatrial.errors import TrainingDiverged, UsageError
from seatrial.progress import Update
from seatrial.store.training import TrainingRecord
from seatrial.workflow.train import train_recipe
from seatrial.workflow.train_spec import TrainSpec
from tiny_training import FAST, make_card, make_data
from tiny_trial import TinyTrial

STEPS = 20
UNEVEN = 13
"""Images a step: no number of processes but one divides it."""


@pytest.fixture(scope="module")
def data(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Held-out images for two steps of validation, the second with one image for all processes."""
    return make_data(tiny_trial, tmp_path_factory.mktemp("uneven") / "data", val=65)


def make_spec(trial: TinyTrial, data: Path, output: Path, processes: int) -> TrainSpec:
    """Steps that are each an epoch of its own so that its loss stands in the record."""
    settings = {**FAST, "batch_size": UNEVEN, "epochs": STEPS, "max_train_steps": 1, "warmup_epochs": 5}
    return TrainSpec(str(make_card(trial, "test_convnext")), data, output, settings, nproc=processes)


@pytest.fixture(scope="module")
def alone(tiny_trial: TinyTrial, data: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingRecord:
    return train_recipe(make_spec(tiny_trial, data, tmp_path_factory.mktemp("alone"), 1))


@pytest.fixture(scope="module")
def midway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the training of two processes leaves a snapshot of its middle."""
    return tmp_path_factory.mktemp("midway") / "snapshot.pt"


@pytest.fixture(scope="module")
def shared(tiny_trial: TinyTrial, data: Path, midway: Path) -> TrainingRecord:
    output = midway.parent / "shared"

    def keep(update: Update) -> None:
        if update.stage == "train" and update.done == STEPS // 2:
            shutil.copyfile(output / "snapshot.pt", midway)

    return train_recipe(make_spec(tiny_trial, data, output, 2), keep)


def compare(found: TrainingRecord, alone: TrainingRecord) -> None:
    assert len(found.epochs) == STEPS
    assert [e.loss for e in found.epochs] == pytest.approx([e.loss for e in alone.epochs], abs=1e-5)
    assert [e.val_loss for e in found.epochs] == pytest.approx([e.val_loss for e in alone.epochs], abs=1e-5)
    assert found.validation is not None and (found.validation.images, found.validation.of_images) == (65, 65)
    assert found.key == alone.key


def test_two_processes_lose_what_one_does(alone: TrainingRecord, shared: TrainingRecord) -> None:
    compare(shared, alone)
    assert (alone.world_size, shared.world_size) == (1, 2)
    # It changes what the network gives, so that equal losses mean something.
    first, *_, last = (epoch.val_loss for epoch in alone.epochs)
    assert first is not None and last is not None and abs(last - first) > 0.1


@pytest.mark.parametrize("processes", [1, 3])
def test_two_processes_snapshot_is_taken_up_by_others(
    processes: int, tiny_trial: TinyTrial, data: Path, midway: Path, alone: TrainingRecord, shared: TrainingRecord
) -> None:
    output = midway.parent / str(processes)
    output.mkdir()
    shutil.copyfile(midway, output / "snapshot.pt")
    notes: list[str] = []
    found = train_recipe(make_spec(tiny_trial, data, output, processes), lambda update: notes.append(update.note))
    assert any(note.startswith(f"resuming after epoch {STEPS // 2 - 1} of {STEPS}") for note in notes)
    assert (found.resumed, found.world_size) == (1, processes)
    compare(found, alone)


def test_processes_have_one_exit_code_and_one_voice(
    tiny_trial: TinyTrial, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = make_spec(tiny_trial, data, tmp_path, 2)
    diverging = {**spec.settings, "batch_size": 9, "learning_rate": 1e30, "warmup_epochs": 0}
    del diverging["max_train_steps"]
    with pytest.raises(TrainingDiverged, match=r"the loss became nan at step . .* and 6 more \(all in "):
        train_recipe(TrainSpec(spec.recipe, data, tmp_path, diverging, nproc=2))
    assert len((tmp_path / "diverged.txt").read_text().splitlines()) == 9
    with pytest.raises(UsageError, match=r"a step of 1 images over 2 processes × 1 \(--accumulate\) leaves 0 each"):
        train_recipe(TrainSpec(spec.recipe, data, tmp_path, {**spec.settings, "batch_size": 1}, nproc=2))
    assert capfd.readouterr() == ("", "")
