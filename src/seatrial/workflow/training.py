"""`seatrial train`: a card and a data set to a checkpoint with its record."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from seatrial.bench.environment import read_environment
from seatrial.data.labels import LabelledImage, hash_listing, read_class_folders, read_labels
from seatrial.data.preprocess import hash_preprocess
from seatrial.engines import get_engine
from seatrial.engines.base import check_device
from seatrial.engines.cpu import has_fast_bf16
from seatrial.errors import DataError, SeatrialError, UsageError
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe, load_recipe
from seatrial.recipes.training import Train
from seatrial.store.files import hash_file, hash_value, locked, replacing
from seatrial.store.records import Epoch, TrainingRecord

CHECKPOINT, RECORD, SNAPSHOT = "checkpoint.safetensors", "train.json", "snapshot.pt"


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """What to train on and where to put it."""

    recipe: str
    data: Path | None
    """`train/CLASS/NAME` beside `val/CLASS/NAME`, or a flat `val/` with `val_label.txt`; None for synthetic images."""
    output: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What to change of the card's `[train]`."""
    seed: int = 0
    force: bool = False
    preset: str | None = None
    """Of the card's; `settings` go over it."""
    resume: Literal["auto"] | Path = "auto"
    """auto goes on from the snapshot in `output`, where there is one."""
    nproc: int = 1
    """Processes on this machine."""
    evaluate_only: bool = False
    performance: bool = False
    synthetic: bool = False
    """Random images, so that no file is read."""
    track: tuple[str, ...] = ()
    dllogger: bool = False
    guide_format: bool = False


def train_recipe(spec: TrainSpec, progress: Progress = silent) -> TrainingRecord:
    """Train, or find it done; a training that was stopped goes on after its last whole epoch.

    Raises:
        UsageError: no such recipe or setting.
        DataError: the data set is not of the layout above, or a file is no image.
        TrainingDiverged: the loss is no longer a number.
    """
    recipe = override_settings(load_recipe(spec.recipe), spec.settings)
    if spec.data is None:
        raise UsageError("there is nothing to work on", "give --data FOLDER")
    train, val = read_training_set(spec.data, recipe.network.classes)
    if len(train) < 2:
        raise DataError(f"{spec.data / 'train'} holds {len(train)} images; BatchNorm needs at least 2 in a batch")
    check_device("cpu", get_engine("torch").probe())
    precision: Literal["bf16", "fp32"] = "bf16" if has_fast_bf16() else "fp32"
    key = _training_key(recipe, spec.seed, (*train, *val), precision)
    with locked(spec.output):
        done = None if spec.force else _find_done(spec.output, key)
        if done is not None:
            progress(Update("train", note=f"already trained: {spec.output / CHECKPOINT}"))
            return done
        from seatrial.train.loop import Trainer, TrainJob

        snapshot = spec.output / SNAPSHOT
        if spec.force:
            snapshot.unlink(missing_ok=True)
        trainer = Trainer(TrainJob(recipe, train, val, snapshot, key, precision, spec.seed), progress)
        epochs = trainer.run()
        _save_weights(trainer.network.state_dict(), spec.output / CHECKPOINT)
        record = _describe(recipe, spec.output, key, epochs, precision)
        record.save(spec.output / RECORD)
        snapshot.unlink()
    return record


def override_settings(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """The recipe with some of its `[train]` settings changed.

    Raises:
        UsageError: a setting that is not known, or a value that it may not have.
    """
    changed = {**recipe.train.model_dump(), **{k: v for k, v in settings.items() if v is not None}}
    return recipe.model_copy(update={"train": Train.read(changed, "training settings")})


def read_training_set(data: Path, classes: int) -> tuple[tuple[LabelledImage, ...], tuple[LabelledImage, ...]]:
    """Training and held-out images of a data set.

    Raises:
        DataError: a folder is missing, or labels and files do not agree.
    """
    if not data.is_dir():
        raise DataError(f"data folder {data} is not there", "`seatrial data make-demo` makes one to try")
    labels = data / "val_label.txt"
    train = read_class_folders(data / "train", classes)
    return train, read_labels(data / "val", labels if labels.exists() else None, classes)


def _training_key(recipe: Recipe, seed: int, images: tuple[LabelledImage, ...], precision: str) -> str:
    return hash_value(
        {
            "stage": "train/1",
            "network": recipe.network.model_dump(),
            "preprocess": hash_preprocess(recipe),
            "settings": recipe.train.model_dump(),
            "seed": seed,
            "images": hash_listing(images),
            "precision": precision,
            "versions": {name: version(name) for name in ("torch", "timm")},
        }
    )


def _find_done(output: Path, key: str) -> TrainingRecord | None:
    with contextlib.suppress(SeatrialError):
        record = TrainingRecord.load(output / RECORD)
        weights = output / record.checkpoint
        if record.key == key and weights.is_file() and hash_file(weights) == record.checkpoint_sha256:
            return record
    return None


def _save_weights(state: dict[str, Any], path: Path) -> None:
    from safetensors.torch import save

    # safetensors' own save_file hides a full disk behind an error of its own.
    packed = save({name: tensor.contiguous() for name, tensor in state.items()})
    with replacing(path) as temporary:
        temporary.write_bytes(packed)


def _describe(recipe: Recipe, output: Path, key: str, epochs: tuple[Epoch, ...], precision: str) -> TrainingRecord:
    if not epochs:
        raise UsageError("training had no epoch")
    return TrainingRecord(
        key=key,
        recipe=recipe.name,
        checkpoint=CHECKPOINT,
        checkpoint_sha256=hash_file(output / CHECKPOINT),
        settings=recipe.train.model_dump(mode="json"),
        precision=precision,
        epochs=epochs,
        environment=read_environment(),
    )
