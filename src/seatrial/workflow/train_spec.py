"""What to train, the key that identifies it, and whether it is done already."""

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
from seatrial.machine.environment import machine_hash, read_environment
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.recipes.training import Train
from seatrial.store.files import hash_file, hash_value, locked
from seatrial.store.training import TrainingRecord
from seatrial.train.checkpoint.snapshot_files import PREVIOUS, SNAPSHOT, delete_snapshots
from seatrial.train.distributed.rank import read_rank

CHECKPOINT, RECORD = "checkpoint.safetensors", "train.json"
VALIDATION = "validation.json"
"""The record of `evaluate_only`; that of `performance` is `train_speed.SPEED`."""


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """What to train on, how, and where to store it."""

    recipe: str
    data: Path | None
    """What `data.sources.training_set.read_training_set` reads; None for synthetic images."""
    output: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings that override the preset and the card's `[train]`."""
    preset: str | None = None
    force: bool = False
    resume: Literal["auto"] | Path = "auto"
    """auto resumes from a snapshot of this training in `output`; a new training starts from a file."""
    nproc: int = 1
    """Processes to start on this machine; more machines need torchrun."""
    evaluate_only: bool = False
    performance: bool = False
    """Measure the speed: no checkpoint, no snapshot, nothing resumed."""
    synthetic: bool = False
    """Train on random pixels, without files."""
    track: tuple[str, ...] = ()
    dllogger: bool = False
    guide_format: bool = False
    image_size: int | None = None
    """Height and width in place of the reference's own."""
    classes: int | None = None
    """Of the data, where they are others than those of the published weights."""


def choose_settings(recipe: Recipe, preset: str | None, settings: Mapping[str, Any]) -> Recipe:
    """The recipe with its `[train]` overridden by a preset and by settings.

    Raises:
        UsageError: a preset or setting is unknown, or a value invalid.
    """
    named = recipe.find_preset(preset) if preset is not None else {}
    given = {k: v for k, v in settings.items() if v is not None}
    train = Train.read({**recipe.train.model_dump(), **named, **given}, "training settings")
    return recipe.model_copy(update={"train": train})


def read_images(
    spec: TrainSpec, recipe: Recipe, progress: Progress = silent
) -> tuple[tuple[LabelledImage, ...], tuple[LabelledImage, ...]]:
    """The training images (none if synthetic or for `evaluate_only`), and the held-out ones.

    Raises:
        UsageError: there is no data folder.
        DataError: a part is missing, or labels and files do not agree.
        RefusedFile: an archive or a pack is damaged or unsafe.
    """
    if spec.synthetic and not spec.evaluate_only:
        return (), ()
    if spec.data is None:
        raise UsageError("there is no data folder", "give --data DIR")
    expected = describe_input(make_pipeline(recipe), "uint8")
    if spec.evaluate_only:
        return (), read_held_out(spec.data, recipe, progress, expected)
    return read_training_set(spec.data, recipe, progress, expected)


def identify_training(recipe: Recipe, precision: str, images: Iterable[LabelledImage] | None) -> tuple[str, ...]:
    """What identifies a training: all that changes its weights, but not device and number of processes.

    Returns:
        Its key, then its key in snapshots and records of earlier versions, if they had all its settings.
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
    """The record of this training if it is done and its checkpoint is whole.

    Then snapshots are what a process left that was killed before it had removed them, and go.

    Raises:
        StorageError: they may not be removed.
    """
    record = None
    with contextlib.suppress(SeatrialError):
        found = TrainingRecord.load(output / RECORD)
        weights = output / found.checkpoint
        if found.key == key and weights.is_file() and hash_file(weights) == found.checkpoint_sha256:
            record = found
    if record is not None:
        delete_snapshots(output)
    return record


def find_trained(spec: TrainSpec, recipe: Recipe, progress: Progress = silent) -> TrainingRecord | None:
    """The record of this training if it is done, found without torch; None where only torch can tell.

    Raises:
        SeatrialError: as `read_images`.
        RunInUse: another process trains into the same folder.
    """
    if spec.force or spec.evaluate_only or spec.performance or spec.resume != "auto" or read_rank().launched:
        return None
    record = None
    with contextlib.suppress(SeatrialError):
        record = TrainingRecord.load(spec.output / RECORD)
    precision = None if record is None else _recall_precision(record, recipe.train)
    if record is None or precision is None:
        return None
    progress(Update("train", doing="looking for the images"))
    images = None if spec.synthetic else [image for part in read_images(spec, recipe, progress) for image in part]
    if identify_training(recipe, precision, images)[0] != record.key:
        return None
    with locked(spec.output):
        return find_done(spec.output, record.key)


def _recall_precision(record: TrainingRecord, settings: Train) -> str | None:
    """The precision of settings; where torch chooses it, what it chose for the record if it would choose it again."""
    if settings.amp != "auto":
        return "fp32" if settings.amp == "off" else settings.amp
    # It chooses by machine, device and network; the network, and the version of torch, are in the training's key.
    same_device = record.settings.get("device") == settings.device
    same_machine = machine_hash(record.environment) == machine_hash(read_environment())
    return record.precision if same_device and same_machine else None


def choose_key(output: Path, keys: Sequence[str]) -> str:
    """Of the keys of a training the one that a record or snapshot in `output` has, or else the first."""
    stored = []
    with contextlib.suppress(SeatrialError):
        stored.append(TrainingRecord.load(output / RECORD).key)
    if len(keys) > 1 and keys[0] not in stored:
        stored += _read_snapshot_key(output)
    return next((key for key in keys if key in stored), keys[0])


def _read_snapshot_key(output: Path) -> list[str]:
    """The key of the newest whole snapshot; empty without one."""
    # Imported late, so that what needs no torch starts without it.
    from seatrial.train.checkpoint.snapshot import read_snapshot

    for path in (output / SNAPSHOT, output / PREVIOUS):
        with contextlib.suppress(SeatrialError):
            return [read_snapshot(path).key]
    return []
