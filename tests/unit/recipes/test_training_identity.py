"""What identifies a training survives new settings, and what earlier versions stored is known by its old key."""

from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from pydantic import Field

from seatrial.data.preprocessing.steps import hash_steps
from seatrial.models.read_file import read_content
from seatrial.recipes import Recipe, load_recipe
from seatrial.recipes.training import FIRST_SETTINGS, Train
from seatrial.store.files import hash_value
from seatrial.train.checkpoint import snapshot
from seatrial.train.checkpoint.snapshot import Snapshot, save_snapshot
from seatrial.train.checkpoint.train_state import TrainState
from seatrial.workflow.train_spec import choose_key, choose_settings, identify_training

FIRST_DUMP = [
    "accumulate", "amp", "augment", "batch_size", "channels_last", "classifier_rate", "compile", "cutmix", "ema",
    "epochs", "flip", "label_smoothing", "learning_rate", "loss_scale", "lr_schedule", "lr_step_epochs",
    "lr_step_factor", "max_eval_steps", "max_train_steps", "min_scale", "mixup", "momentum", "nesterov", "optimizer",
    "random_erasing", "repeats", "seed", "size", "sync_bn", "warmup_epochs", "weight_decay",
]  # fmt: skip
"""Settings in the key of a snapshot of format 2, as version 0.1.0 wrote it."""


class Grown(Train):
    """As a later version may be."""

    sharpness: float = Field(default=0.0, description="New.")


@pytest.fixture
def recipe(tiny_trial: object) -> Recipe:
    return load_recipe(str(tiny_trial.card))  # type: ignore[attr-defined]


def make_old_key(recipe: Recipe) -> str:
    """As version 0.1.0 did, by the dump of every setting that it had."""
    assert set(FIRST_DUMP) == FIRST_SETTINGS
    dump = recipe.train.model_dump(mode="json", include=set(FIRST_DUMP))
    assert sorted(dump) == FIRST_DUMP
    return hash_value(
        {
            "stage": "train/2",
            "network": recipe.network.model_dump(include={"builder", "name", "classes", "parameters"}),
            "preprocess": hash_steps(recipe.preprocess),
            "settings": {**dump, "amp": "fp32"},
            "images": "synthetic",
            "versions": {name: version(name) for name in ("torch", "timm")},
        }
    )


def test_a_new_setting_at_its_default_changes_no_identity(recipe: Recipe) -> None:
    grown = recipe.model_copy(update={"train": Grown(**recipe.train.model_dump())})
    assert identify_training(grown, "fp32", None) == identify_training(recipe, "fp32", None)
    changed = grown.model_copy(update={"train": grown.train.model_copy(update={"sharpness": 0.5})})
    # Nothing that an earlier version stored can be of this one.
    assert len(identify_training(changed, "fp32", None)) == 1
    assert identify_training(changed, "fp32", None)[0] != identify_training(recipe, "fp32", None)[0]


@pytest.mark.parametrize(("setting", "counts"), [({"seed": 4}, True), ({"print_freq": 3}, False)])
def test_what_decides_what_comes_out_counts_and_the_rest_does_not(
    setting: dict[str, int], counts: bool, recipe: Recipe
) -> None:
    changed = choose_settings(recipe, None, setting)
    same = identify_training(changed, "fp32", None) == identify_training(recipe, "fp32", None)
    assert same != counts


def test_a_snapshot_of_an_earlier_version_goes_on(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = identify_training(recipe, "fp32", None)
    assert choose_key(tmp_path, keys) == keys[0]
    old = make_old_key(recipe)
    save_snapshot(tmp_path, Snapshot(old, 0, {"w": torch.zeros(1)}, None, None, {}, TrainState()))
    assert choose_key(tmp_path, keys) == old
    save_snapshot(tmp_path, Snapshot(old, 0, {"w": torch.ones(1)}, None, None, {}, TrainState()))
    read = []
    monkeypatch.setattr(snapshot, "read_content", lambda path: read.append(path.name) or read_content(path))
    assert choose_key(tmp_path, keys) == old and read == ["snapshot.pt"], "the newest tells it"
    other = identify_training(choose_settings(recipe, None, {"seed": 4}), "fp32", None)
    assert choose_key(tmp_path, other) == other[0]


def test_a_card_is_identified_by_what_is_not_at_its_default(recipe: Recipe) -> None:
    said = recipe.identity
    assert "published" not in said and "same_at_batches" not in said["gates"]
    assert Recipe.read(said, "test") == recipe
