"""One process's part of `seatrial train`, from joining the others to the record; alone, it is all of it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seatrial.data.images import LabelledImage
from seatrial.errors import DataError, Interrupted, SeatrialError, UsageError
from seatrial.machine.environment import read_environment
from seatrial.models.build import count_parameters
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.recipes.training import EXECUTION
from seatrial.store.files import hash_file, hash_value, locked, replacing
from seatrial.store.records import TrainingRecord
from seatrial.train.amp import name_precision, resolve_amp
from seatrial.train.checkpoint.pytorch_examples import GuideKeeper
from seatrial.train.checkpoint.resume import begin_epoch_anew, read_start
from seatrial.train.checkpoint.snapshot import (
    ELSEWHERE,
    PREVIOUS,
    SNAPSHOT,
    Snapshot,
    clear_leftovers,
    delete_snapshots,
    find_snapshot,
)
from seatrial.train.checkpoint.train_state import Standing
from seatrial.train.distributed.process_group import World, count_decoders, join_world
from seatrial.train.distributed.rank import read_place
from seatrial.train.input.loader import Batches, Loader, SyntheticLoader
from seatrial.train.input.mixup import Mix
from seatrial.train.input.sampler import Share
from seatrial.train.job import TrainJob
from seatrial.train.network import TrainedNetwork
from seatrial.train.stop_signals import noticing_signals
from seatrial.train.tracking.events import Listener
from seatrial.train.tracking.listeners import ScreenLines, StepSampler, open_listeners
from seatrial.train.tracking.log_job import LogJob
from seatrial.train.trainer import Trainer
from seatrial.train.validate import Stopped, Validator
from seatrial.workflow.train_spec import (
    CHECKPOINT,
    RECORD,
    VALIDATION,
    TrainSpec,
    choose_key,
    find_done,
    identify_training,
    read_images,
)
from seatrial.workflow.train_speed import SPEED, SpeedContext, describe_speed

SYNTHETIC_IMAGES = 1_281_167
"""Of an epoch: ImageNet's."""


@dataclass(frozen=True, slots=True)
class Sitting:
    """What was asked, of whom, and on what."""

    spec: TrainSpec
    recipe: Recipe
    world: World
    tell: Progress
    """Silent but in the first process."""
    train: tuple[LabelledImage, ...]
    val: tuple[LabelledImage, ...]

    @property
    def precision(self) -> str:
        """What the arithmetic is done in, as records call it."""
        return name_precision(self.recipe.train)


def sit(spec: TrainSpec, recipe: Recipe, progress: Progress) -> TrainingRecord:
    """What `train_recipe` does in each process."""
    with join_world(recipe.train) as world:
        tell = progress if world.first else silent
        with world.together():
            train, val = read_images(spec, recipe, tell)
        if any(world.gather(world.place.restarts)):
            # torchrun began again what it had begun with --force.
            spec = replace(spec, force=False)
        sitting = Sitting(spec, resolve_amp(recipe, world.device), world, tell, train, val)
        _check_same_images(sitting)
        if spec.evaluate_only:
            return _evaluate(sitting)
        return _measure(sitting) if spec.performance else _train(sitting)


def _check_same_images(sitting: Sitting) -> None:
    """Refuse machines whose data sets differ.

    Raises:
        DataError: says which process sees another set.
    """
    names = hash_value([[image.id, image.label] for image in (*sitting.train, *sitting.val)])
    found = sitting.world.gather(names)
    other = next((rank for rank, name in enumerate(found) if name != found[0]), None)
    if other is not None:
        raise DataError(f"process {other} sees other images in {sitting.spec.data} than the first", "give all the same")


def _train(sitting: Sitting) -> TrainingRecord:
    spec, world = sitting.spec, sitting.world
    with _locked_by_first(sitting):
        key, given = _read_given(sitting)
        done = world.share(None if spec.force or not world.first else find_done(spec.output, key))
        if done is not None:
            sitting.tell(Update("train", note=f"already trained: {spec.output / CHECKPOINT}"))
            return done
        start = _find_start(sitting, key, given)
        job = _make_job(sitting, key, spec.output, start)
        with closing(job.loader), noticing_signals() as stop:
            trainer = Trainer(job, world, sitting.tell, stop)
            sitting.tell(Update("train", note=_describe_work(sitting, trainer)))
            if start is not None:
                trainer.take_up(start)
            trainer.run()
        return _finish(sitting, trainer)


def _describe_work(sitting: Sitting, trainer: Trainer) -> str:
    """What is about to be done, in a line."""
    world, settings, loader = sitting.world, sitting.recipe.train, trainer.job.loader
    parameters = count_parameters(trainer.network.plain)
    images = "random images" if sitting.spec.synthetic else f"{len(sitting.train):,} images"
    whole = f"{settings.epochs} × {loader.steps:,} steps of {loader.batch_size} images"
    each = f", {loader.batch_size / world.size:g} on each of {world.size} processes" if world.size > 1 else ""
    return (
        f"{sitting.recipe.network.name}, {parameters:,} parameters, {sitting.precision} on {world.device}; "
        f"{images}, {len(sitting.val):,} held out; {whole}{each}"
    )


@contextmanager
def _locked_by_first(sitting: Sitting) -> Iterator[None]:
    with ExitStack() as stack:
        with sitting.world.together():
            if sitting.world.first:
                stack.enter_context(locked(sitting.spec.output))
                clear_leftovers(sitting.spec.output)
        yield


def _read_given(sitting: Sitting) -> tuple[str, Snapshot | None]:
    """What identifies the training, in every process, and what the file to go on from gives, in the first.

    Such a file is part of what identifies it, unless it is a snapshot of this very training.
    """
    world, path = sitting.world, sitting.spec.resume
    key, given = "", None
    with world.together():
        if world.first:
            images = None if sitting.spec.synthetic else (*sitting.train, *sitting.val)
            keys = identify_training(sitting.recipe, sitting.precision, images)
            if isinstance(path, Path) and not _is_own(path, sitting.spec.output):
                given, note = read_start(path, sitting.recipe)
                sitting.tell(Update("train", note=note))
                if given.key not in keys:
                    content = hash_file(path)
                    keys = tuple(hash_value([key, content]) for key in keys)
                    given = begin_epoch_anew(given, keys[0], sitting.recipe.train.epochs)
            key = choose_key(sitting.spec.output, keys)
    return world.share(key), given


def _is_own(path: Path, output: Path) -> bool:
    """Whether a file to go on from is the snapshot that would be found anyway."""
    if path.parent.resolve() != output.resolve() or path.name not in (SNAPSHOT, PREVIOUS):
        return False
    if not path.is_file():
        raise UsageError(f"there is no checkpoint {path}")
    return True


def _find_start(sitting: Sitting, key: str, given: Snapshot | None) -> Snapshot | None:
    """What to begin with, in every process: this training's own snapshot, else what was given, else nothing."""
    world, output = sitting.world, sitting.spec.output
    start = given
    with world.together():
        if world.first:
            if sitting.spec.force:
                delete_snapshots(output)
                # Or a restart, which forces nothing, would take it for its own.
                (output / RECORD).unlink(missing_ok=True)
            found, note = find_snapshot(output, key)
            if note:
                sitting.tell(Update("train", note=note))
            if found is None and not sitting.spec.force:
                _refuse_other(sitting, key)
            start = found or given
    return world.share(start)


def _refuse_other(sitting: Sitting, key: str) -> None:
    """Leave what another training ended with in `output` as it is.

    Raises:
        UsageError: there is such a checkpoint; says which settings it had instead.
    """
    output, ours = sitting.spec.output, sitting.recipe.train.model_dump(mode="json", exclude=set(EXECUTION))
    record = None
    with suppress(SeatrialError):
        record = TrainingRecord.load(output / RECORD)
    if record is None or record.key == key or not (output / record.checkpoint).is_file():
        return
    then = {**record.settings, "amp": record.precision}
    now = {**ours, "amp": sitting.precision}
    unlike = [f"{name} {was}, now {now[name]}" for name, was in then.items() if now.get(name, was) != was]
    told = "; ".join(unlike) or "other data, network, beginning or versions"
    raise UsageError(f"{output / record.checkpoint} is of another training ({told})", ELSEWHERE)


def _make_job(sitting: Sitting, key: str, folder: Path | None, start: Snapshot | None = None) -> TrainJob:
    world, settings = sitting.world, sitting.recipe.train
    loader, mix = _make_loader(sitting), Mix(settings, sitting.recipe.network.classes)
    job = TrainJob(sitting.recipe, loader, sitting.val, key, folder, mix if mix else None)
    if folder is None:
        return job
    at = start.standing if start is not None else Standing()
    listeners = _listen(sitting, key, (at.epoch * loader.steps + at.step, at.epoch))
    keepers = (GuideKeeper(folder, sitting.recipe),) if sitting.spec.guide_format and world.first else ()
    return replace(job, listeners=listeners, keepers=keepers)


def _make_loader(sitting: Sitting) -> Batches:
    world, recipe, settings = sitting.world, sitting.recipe, sitting.recipe.train
    share = Share(world.rank, world.size)
    size = recipe.input_size if settings.size is None else (settings.size, settings.size)
    if sitting.spec.synthetic:
        return SyntheticLoader(SYNTHETIC_IMAGES, recipe.network.classes, settings, size, share)
    if settings.batch_size > len(sitting.train):
        few = f"is more than the {len(sitting.train)} training images: a step has these"
        sitting.tell(Update("train", note=f"--batch-size {settings.batch_size} {few}"))
    mean, _ = recipe.normalisation
    return Loader(sitting.train, settings, size, share, count_decoders(settings, world), mean)


def _listen(sitting: Sitting, key: str, done: tuple[int, int]) -> list[Listener]:
    """Who is told of every step, in the first process; `done` are the steps and the whole epochs behind it."""
    spec, recipe = sitting.spec, sitting.recipe
    job = LogJob(spec.output, recipe.name, key, recipe.train, *done, track=spec.track, dllogger=spec.dllogger)
    with sitting.world.together():
        return open_listeners(job, sitting.tell) if sitting.world.first else []


def _finish(sitting: Sitting, trainer: Trainer) -> TrainingRecord:
    """Store checkpoint and record, which make the snapshots useless; every process returns the record."""
    world, output = sitting.world, sitting.spec.output
    record = _describe_training(sitting, trainer)
    with world.together():
        if world.first:
            _save_weights(trainer.network.kept.state_dict(), output / CHECKPOINT)
            hashed = {"checkpoint": CHECKPOINT, "checkpoint_sha256": hash_file(output / CHECKPOINT)}
            record = record.model_copy(update=hashed)
            record.save(output / RECORD)
            delete_snapshots(output)
    return world.share(record)


def _measure(sitting: Sitting) -> TrainingRecord:
    """Train for the speed: nothing is taken up, and nothing but the record is kept."""
    with sitting.world.together():
        if sitting.spec.resume != "auto":
            raise UsageError("a performance run takes nothing up", "leave out --resume or --performance")
    sampler, began = StepSampler(), time.perf_counter()
    job = replace(_make_job(sitting, "", None), listeners=(sampler, ScreenLines(sitting.recipe.train, sitting.tell)))
    with closing(job.loader), noticing_signals() as stop:
        trainer = Trainer(job, sitting.world, sitting.tell, stop)
        trainer.run()
    record = _describe_training(sitting, trainer)
    with sitting.world.together():
        if sitting.world.first:
            context = SpeedContext(record, sitting.recipe, time.perf_counter() - began, read_place().machines)
            describe_speed(sampler.steps, sampler.epochs, context).save(sitting.spec.output / SPEED)
    return sitting.world.share(record)


def _evaluate(sitting: Sitting) -> TrainingRecord:
    """Validate only: the weights of `resume`, else what a training left in `output`."""
    world = sitting.world
    state: dict[str, Any] = {}
    with world.together():
        if world.first:
            state, source = _read_weights(sitting)
            sitting.tell(Update("train", note=f"validating {source}"))
    network = TrainedNetwork(sitting.recipe, world)
    network.load(world.share(state), None)
    validator = Validator(sitting.recipe, sitting.val, world, sitting.tell)
    with noticing_signals() as stop:
        try:
            validation, bad = validator.run(network, lambda: stop.asked)
        except Stopped:
            raise Interrupted("stopped while validating") from None
    record = _describe(sitting, "").model_copy(update={"validation": validation, "bad_images": bad})
    with world.together():
        if world.first:
            record.save(sitting.spec.output / VALIDATION)
    return record


def _read_weights(sitting: Sitting) -> tuple[dict[str, Any], Path]:
    output = sitting.spec.output
    left = [output / name for name in (CHECKPOINT, SNAPSHOT, PREVIOUS) if (output / name).is_file()]
    candidates = left if sitting.spec.resume == "auto" else [sitting.spec.resume]
    if not candidates:
        raise UsageError(f"{output} holds no checkpoint to validate", "give --resume FILE")
    path = candidates[0]
    start, _ = read_start(path, sitting.recipe)
    return (start.network if start.average is None else start.average), path


def _describe_training(sitting: Sitting, trainer: Trainer) -> TrainingRecord:
    seen = sitting.world.gather({**trainer.bad, **trainer.job.loader.bad})
    at = trainer.at
    facts = {
        "epochs": at.epochs,
        "validation": trainer.validation,
        "speed": at.pace.to_speed(),
        "bad_images": {name: why for found in seen for name, why in found.items()},
        "resumed": at.resumed,
    }
    return _describe(sitting, trainer.job.key).model_copy(update=facts)


def _describe(sitting: Sitting, key: str) -> TrainingRecord:
    """The record of a sitting in which nothing happened yet."""
    return TrainingRecord(
        key=key,
        recipe=sitting.recipe.name,
        preset=sitting.spec.preset,
        settings=sitting.recipe.train.model_dump(mode="json"),
        precision=sitting.precision,
        device=str(sitting.world.device),
        world_size=sitting.world.size,
        epochs=(),
        performance=sitting.spec.performance,
        synthetic=sitting.spec.synthetic,
        environment=read_environment(),
    )


def _save_weights(state: dict[str, Any], path: Path) -> None:
    from safetensors.torch import save

    # safetensors' own save_file hides a full disk behind an error of its own.
    packed = save({name: tensor.cpu().contiguous() for name, tensor in state.items()})
    with replacing(path) as temporary:
        temporary.write_bytes(packed)
