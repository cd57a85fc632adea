"""What to train, by which key it is known, and whether it is done already."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from seatrial.data.images import LabelledImage, hash_listing
from seatrial.data.preprocessing.check_prepared import describe_input
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.data.preprocessing.steps import hash_steps
from seatrial.data.sources.training_set import read_held_out, read_training_set
from seatrial.errors import SeatrialError, UsageError
from seatrial.progress import Progress, silent
from seatrial.recipes import Recipe
from seatrial.recipes.training import Train
from seatrial.store.files import hash_file, hash_value
from seatrial.store.records import TrainingRecord

CHECKPOINT, RECORD = "checkpoint.safetensors", "train.json"
VALIDATION = "validation.json"
"""The record of `evaluate_only`; that of `performance` is `training_speed.SPEED`."""


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """What to train on and where to put it."""

    recipe: str
    data: Path | None
    """What `data.sources.training_set.read_training_set` reads; None for synthetic images."""
    output: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What to change of the card's `[train]`, and of the preset."""
    preset: str | None = None
    force: bool = False
    resume: Literal["auto"] | Path = "auto"
    """auto goes on from a snapshot of this very training in `output`; a file is what a new one begins with."""
    nproc: int = 1
    """Processes to start on this machine; more machines need torchrun."""
    evaluate_only: bool = False
    performance: bool = False
    """Train for the speed: no checkpoint, no snapshot, nothing taken up."""
    synthetic: bool = False
    """On random pixels, without files."""
    track: tuple[str, ...] = ()
    dllogger: bool = False
    guide_format: bool = False


def choose_settings(recipe: Recipe, preset: str | None, settings: Mapping[str, Any]) -> Recipe:
    """The recipe with a preset's and some other settings instead of those of its `[train]`.

    Raises:
        UsageError: a preset or setting that is not known, or a value that it may not have.
    """
    named = recipe.find_preset(preset) if preset is not None else {}
    given = {k: v for k, v in settings.items() if v is not None}
    train = Train.read({**recipe.train.model_dump(), **named, **given}, "training settings")
    return recipe.model_copy(update={"train": train})


def read_images(
    spec: TrainSpec, recipe: Recipe, progress: Progress = silent
) -> tuple[tuple[LabelledImage, ...], tuple[LabelledImage, ...]]:
    """The training images, none if they are synthetic or not asked for, and the held-out ones.

    Raises:
        UsageError: there is no data to work on.
        DataError: a part is missing, or labels and files do not agree.
        RefusedFile: an archive or a pack is damaged or unsafe.
    """
    if spec.synthetic and not spec.evaluate_only:
        return (), ()
    if spec.data is None:
        raise UsageError("there is nothing to work on", "give --data FOLDER")
    expected = describe_input(make_pipeline(recipe), "uint8")
    if spec.evaluate_only:
        return (), read_held_out(spec.data, recipe.network.classes, progress, expected)
    return read_training_set(spec.data, recipe.network.classes, progress, expected)


def identify_training(recipe: Recipe, precision: str, images: Iterable[LabelledImage] | None) -> tuple[str, ...]:
    """What identifies a training: whatever decides what comes out, but not where it runs and on how many processes.

    Returns:
        Its key, then the one that snapshots and records of earlier versions have for it, if they could have made it.
    """
    shared = {
        "preprocess": hash_steps(recipe.preprocess),
        "images": "synthetic" if images is None else hash_listing(images),
        "versions": {name: version(name) for name in ("torch", "timm")},
    }
    network, settings, first = recipe.network, recipe.train.identity, recipe.train.first_identity
    now = {"stage": "train/3", "network": network.model_dump(exclude_defaults=True)}
    before = {"stage": "train/2", "network": network.model_dump(include={"builder", "name", "classes", "parameters"})}
    key = hash_value({**shared, **now, "settings": {**settings, "amp": precision}})
    old = None if first is None else hash_value({**shared, **before, "settings": {**first, "amp": precision}})
    return (key,) if old is None else (key, old)


def find_done(output: Path, key: str) -> TrainingRecord | None:
    """The record of this training if it is done and its checkpoint is whole."""
    with contextlib.suppress(SeatrialError):
        record = TrainingRecord.load(output / RECORD)
        weights = output / record.checkpoint
        if record.key == key and weights.is_file() and hash_file(weights) == record.checkpoint_sha256:
            return record
    return None


def choose_key(output: Path, keys: Sequence[str]) -> str:
    """Of the keys of a training the one that what stands in `output` has, or else the first."""
    stored = []
    with contextlib.suppress(SeatrialError):
        stored.append(TrainingRecord.load(output / RECORD).key)
    if len(keys) > 1 and keys[0] not in stored:
        stored += _read_snapshot_key(output)
    return next((key for key in keys if key in stored), keys[0])


def _read_snapshot_key(output: Path) -> list[str]:
    """The key of the newest whole snapshot, which a training goes on from; empty without one."""
    # Here and not above, so that what needs no torch starts without it.
    from seatrial.train.checkpoint.snapshot import PREVIOUS, SNAPSHOT, read_snapshot

    for path in (output / SNAPSHOT, output / PREVIOUS):
        with contextlib.suppress(SeatrialError):
            return [read_snapshot(path).key]
    return []
