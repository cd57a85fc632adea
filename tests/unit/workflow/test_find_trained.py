"""A training that is done is found without torch, and only where torch would find it too."""

import sys
from pathlib import Path

import pytest

from seatrial.errors import RunInUse
from seatrial.machine.environment import read_environment
from seatrial.recipes import Recipe, load_recipe
from seatrial.store.files import hash_bytes, locked
from seatrial.store.training import TrainingRecord
from seatrial.workflow.train import train_recipe
from seatrial.workflow.train_spec import CHECKPOINT, RECORD, TrainSpec, choose_settings, find_trained, identify_training
from tiny_trial import TinyTrial

WEIGHTS = b"weights"


@pytest.fixture
def recipe(tiny_trial: TinyTrial) -> Recipe:
    return load_recipe(str(tiny_trial.card))


def store(output: Path, recipe: Recipe, precision: str, **facts: object) -> TrainSpec:
    """What a finished training of random images leaves, with bytes that stand for its weights."""
    record = TrainingRecord(
        key=identify_training(recipe, precision, None)[0],
        recipe=recipe.name,
        checkpoint=CHECKPOINT,
        checkpoint_sha256=hash_bytes(WEIGHTS),
        settings=recipe.train.model_dump(mode="json"),
        precision=precision,
        epochs=(),
        synthetic=True,
        environment=read_environment(),
    )
    output.mkdir()
    record.model_copy(update=facts).save(output / RECORD)
    (output / CHECKPOINT).write_bytes(WEIGHTS)
    return TrainSpec(recipe.name, None, output, synthetic=True)


@pytest.mark.parametrize("amp", ["auto", "off"])
def test_a_finished_training_is_found(amp: str, recipe: Recipe, tmp_path: Path) -> None:
    recipe = choose_settings(recipe, None, {"amp": amp})
    found = find_trained(store(tmp_path / "out", recipe, "fp32"), recipe)
    assert found is not None and found.precision == "fp32"


def test_the_precision_that_torch_chooses_is_recalled_only_on_the_same_machine_and_device(
    recipe: Recipe, tmp_path: Path
) -> None:
    there = read_environment()
    other = there.model_copy(update={"cpu_flags": (*there.cpu_flags, "another")})
    assert find_trained(store(tmp_path / "machine", recipe, "bf16", environment=other), recipe) is None
    spec = store(tmp_path / "device", recipe, "bf16")
    assert find_trained(spec, recipe) is not None
    assert find_trained(spec, choose_settings(recipe, None, {"device": "cuda:1"})) is None
    # What was requested by name is the same everywhere.
    named = choose_settings(recipe, None, {"amp": "bf16"})
    assert find_trained(store(tmp_path / "named", named, "bf16", environment=other), named) is not None


@pytest.mark.parametrize("damage", ["weights", "gone", "record", "settings"])
def test_what_is_not_whole_or_of_another_training_is_not_found(damage: str, recipe: Recipe, tmp_path: Path) -> None:
    spec = store(tmp_path / "out", recipe, "fp32")
    if damage == "weights":
        (spec.output / CHECKPOINT).write_bytes(b"Weights")
    elif damage == "gone":
        (spec.output / CHECKPOINT).unlink()
    elif damage == "record":
        (spec.output / RECORD).write_text((spec.output / RECORD).read_text().replace("fp32", "bf16"))
    else:
        recipe = choose_settings(recipe, None, {"seed": 4})
    assert find_trained(spec, recipe) is None


@pytest.mark.parametrize("change", [{"force": True}, {"performance": True}, {"resume": Path("weights.pt")}])
def test_whoever_asks_for_more_than_a_record_gets_torch(
    change: dict[str, object], recipe: Recipe, tmp_path: Path
) -> None:
    spec = store(tmp_path / "out", recipe, "fp32")
    fields = {name: getattr(spec, name) for name in ("recipe", "data", "output", "synthetic")}
    assert find_trained(TrainSpec(**(fields | change)), recipe) is None


def test_a_rank_of_a_launcher_goes_with_the_others(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = store(tmp_path / "out", recipe, "fp32")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert find_trained(spec, recipe) is None


def test_a_folder_in_which_another_process_trains_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    spec = store(tmp_path / "out", recipe, "fp32")
    with locked(spec.output), pytest.raises(RunInUse):
        find_trained(spec, recipe)


def test_nothing_of_the_trainer_is_loaded(
    tiny_trial: TinyTrial, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = store(tmp_path / "out", recipe, "fp32")
    # None in the place of a module makes its import an error.
    monkeypatch.setitem(sys.modules, "seatrial.workflow.train_process", None)
    done = train_recipe(TrainSpec(str(tiny_trial.card), None, spec.output, synthetic=True))
    assert done.checkpoint_sha256 == hash_bytes(WEIGHTS)
