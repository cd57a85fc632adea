"""What each process of `seatrial train` does, from joining the others to the record."""

import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seatrial.data.classes import name_by_folders
from seatrial.data.images import LabelledImage
from seatrial.errors import DataError, SeatrialError, UsageError
from seatrial.machine.environment import read_environment
from seatrial.models.build import count_parameters
from seatrial.models.checkpoint import save_weights
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.recipes.class_names import read_names
from seatrial.recipes.training import EXECUTION
from seatrial.store.files import hash_file, hash_value, locked
from seatrial.store.training import TrainingRecord, Validation
from seatrial.train.amp import name_precision, resolve_amp
from seatrial.train.checkpoint.pytorch_examples import GuideCheckpointHook
from seatrial.train.checkpoint.resume import begin_epoch_anew, read_start
from seatrial.train.checkpoint.snapshot import ELSEWHERE, Snapshot, find_snapshot
from seatrial.train.checkpoint.snapshot_files import PREVIOUS, SNAPSHOT, clear_leftovers, delete_snapshots
from seatrial.train.checkpoint.train_state import TrainState
from seatrial.train.distributed.process_group import ProcessGroup, count_decoders, join_process_group
from seatrial.train.input.augment import Augment
from seatrial.train.input.loader import Batches, Loader, SyntheticLoader
from seatrial.train.input.mixup import make_mixing
from seatrial.train.network import TrainedNetwork
from seatrial.train.stop_signals import catch_stop_signals
from seatrial.train.tracking.events import Listener, LogJob
from seatrial.train.tracking.guide_log import Case, Purpose, write_case, write_validation
from seatrial.train.tracking.listeners import ScreenLines, StepRecorder, open_guide_log, open_listeners
from seatrial.train.trainer import Trainer, TrainJob
from seatrial.train.validate import Validator
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
from seatrial.workflow.train_speed import SPEED, describe_speed

SYNTHETIC_IMAGES = 1_281_167
"""Images of an epoch, as many as ImageNet has."""


@dataclass(frozen=True, slots=True)
class RankContext:
    """What one process of a training works on, and with which others."""

    spec: TrainSpec
    recipe: Recipe
    group: ProcessGroup
    progress: Progress
    """Silent but on the first rank."""
    train: tuple[LabelledImage, ...]
    val: tuple[LabelledImage, ...]
    began: float
    """By `perf_counter`."""

    @property
    def precision(self) -> str:
        """The precision of the arithmetic, by the name that records have."""
        return name_precision(self.recipe.train)

    def log(self, note: str) -> None:
        """Show a line."""
        self.progress(Update("train", note=note))


def run_rank(spec: TrainSpec, recipe: Recipe, progress: Progress) -> TrainingRecord:
    """Do in one process what `train_recipe` does in all."""
    began = time.perf_counter()
    with join_process_group(recipe.train) as group:
        if not group.is_main:
            progress = silent
        progress(Update("train", doing="looking for the images"))
        with group.raise_on_all():
            train, val = read_images(spec, recipe, progress)
        if any(group.all_gather_object(group.info.restarts)):
            # torchrun restarted processes, and what they are to resume is what they began with --force.
            spec = replace(spec, force=False)
        context = RankContext(spec, resolve_amp(recipe, group.device), group, progress, train, val, began)
        _check_same_images(context)
        if spec.evaluate_only:
            return _evaluate(context)
        return _measure(context) if spec.performance else _train(context)


def _check_same_images(context: RankContext) -> None:
    """Refuse machines whose data sets differ.

    Raises:
        DataError: names a process with other images.
    """
    digest = hash_value([[image.id, image.label] for image in (*context.train, *context.val)])
    digests = context.group.all_gather_object(digest)
    other = next((rank for rank, each in enumerate(digests) if each != digests[0]), None)
    if other is not None:
        problem = f"{context.spec.data} has other images on process {other} than on process 0"
        raise DataError(problem, "give all machines the same data")


def _train(context: RankContext) -> TrainingRecord:
    spec, group = context.spec, context.group
    with ExitStack() as stack:
        key, done, start = group.run_on_main(lambda: _begin(context, stack))
        if done is not None:
            context.log(f"already trained: {spec.output / CHECKPOINT}")
            return done
        job = _make_job(context, key, spec.output, start)
        with closing(job.loader), catch_stop_signals() as signals:
            try:
                trainer = Trainer(job, group, context.progress, signals)
            except SeatrialError:  # It closes its listeners where it has begun.
                for listener in job.listeners:
                    listener.close()
                raise
            context.log(_describe_work(context, trainer))
            if start is not None:
                trainer.load_state_dict(start)
            trainer.train()
        record = _describe_training(context, trainer)
        return group.run_on_main(lambda: _finish(context, trainer, record))


def _begin(context: RankContext, stack: ExitStack) -> tuple[str, TrainingRecord | None, Snapshot | None]:
    """Lock the output; returns the training's key, its record if it is done, and the snapshot to start from."""
    output = context.spec.output
    stack.enter_context(locked(output))
    clear_leftovers(output)
    key, given = _read_given(context)
    done = None if context.spec.force else find_done(output, key)
    return key, done, None if done is not None else _find_start(context, key, given)


def _describe_work(context: RankContext, trainer: Trainer) -> str:
    """A line with network, device, images and steps."""
    group, settings, loader = context.group, context.recipe.train, trainer.job.loader
    parameters = count_parameters(trainer.network.plain)
    images = "random images" if context.spec.synthetic else f"{len(context.train):,} images"
    steps = f"{settings.epochs} × {loader.steps:,} steps of {loader.batch_size} images"
    each = f", {loader.batch_size / group.size:g} on each of {group.size} processes" if group.size > 1 else ""
    return (
        f"{context.recipe.network.name}, {parameters:,} parameters, {context.precision} on {group.device}; "
        f"{images}, {len(context.val):,} held out; {steps}{each}"
    )


def _read_given(context: RankContext) -> tuple[str, Snapshot | None]:
    """The training's key, and the snapshot in the file of --resume.

    The file is part of the key, unless it is a snapshot of this training.
    """
    path, given = context.spec.resume, None
    images = None if context.spec.synthetic else (*context.train, *context.val)
    keys = identify_training(context.recipe, context.precision, images)
    if isinstance(path, Path) and not _is_own_snapshot(path, context.spec.output):
        given, note = read_start(path, context.recipe)
        context.log(note)
        if given.key not in keys:
            content = hash_file(path)
            keys = tuple(hash_value([key, content]) for key in keys)
            given = begin_epoch_anew(given, keys[0], context.recipe.train.epochs)
    return choose_key(context.spec.output, keys), given


def _is_own_snapshot(path: Path, output: Path) -> bool:
    """Whether a file to resume from is the snapshot that would be found anyway."""
    if path.parent.resolve() != output.resolve() or path.name not in (SNAPSHOT, PREVIOUS):
        return False
    if not path.is_file():
        raise UsageError(f"there is no checkpoint {path}", "leave out --resume, or give an existing FILE")
    return True


def _find_start(context: RankContext, key: str, given: Snapshot | None) -> Snapshot | None:
    """The snapshot to start from: this training's own, else the given one, else None."""
    output = context.spec.output
    if context.spec.force:
        delete_snapshots(output)
        # Or a restart, which forces nothing, would refuse to overwrite it.
        (output / RECORD).unlink(missing_ok=True)
    own, note = find_snapshot(output, key)
    if note:
        context.log(note)
    if own is None and not context.spec.force:
        _refuse_other(context, key)
    return own or given


def _refuse_other(context: RankContext, key: str) -> None:
    """Refuse to overwrite the checkpoint of another training.

    Raises:
        UsageError: there is one; names the settings that differ.
    """
    output, ours = context.spec.output, context.recipe.train.model_dump(mode="json", exclude=set(EXECUTION))
    record = None
    with suppress(SeatrialError):
        record = TrainingRecord.load(output / RECORD)
    if record is None or record.key == key or not (output / record.checkpoint).is_file():
        return
    then = {**record.settings, "amp": record.precision}
    now = {**ours, "amp": context.precision}
    changes = [f"{name} {was}, now {now[name]}" for name, was in then.items() if now.get(name, was) != was]
    differences = "; ".join(changes) or "other data, network, --resume FILE or versions"
    raise UsageError(f"{output / record.checkpoint} is of another training ({differences})", ELSEWHERE)


def _make_job(context: RankContext, key: str, folder: Path | None, start: Snapshot | None = None) -> TrainJob:
    group, settings = context.group, context.recipe.train
    loader, mix = _make_loader(context), make_mixing(settings, context.recipe.network.classes)
    job = TrainJob(context.recipe, loader, context.val, key, folder, mix)
    if folder is None:
        return job
    state = start.train_state if start is not None else TrainState()
    spec, done = context.spec, state.epoch * loader.steps + state.step
    log = replace(_log_job(context, folder, key), step=done, epochs=state.epoch)
    with group.raise_on_all():
        listeners = open_listeners(log, context.progress) if group.is_main else []
    hooks = (GuideCheckpointHook(folder, context.recipe),) if spec.guide_format and group.is_main else ()
    return replace(job, listeners=listeners, epoch_hooks=hooks)


def _log_job(context: RankContext, folder: Path, key: str) -> LogJob:
    """What a training's logs are of, from its first step on."""
    spec, group = context.spec, context.group
    return LogJob(
        folder,
        context.recipe.name,
        key,
        context.recipe.train,
        track=spec.track,
        dllogger=spec.dllogger,
        guide_log=spec.guide_format,
        device=str(group.device),
        processes=group.size,
    )


def _write_case(context: RankContext, record: TrainingRecord, purpose: Purpose) -> None:
    """The guide's `{CaseName}.log`, where it is asked for."""
    if context.spec.guide_format:
        seconds = time.perf_counter() - context.began
        write_case(Case.of(record, purpose), context.spec.output, record.device, seconds)


def _make_loader(context: RankContext) -> Batches:
    group, recipe, settings = context.group, context.recipe, context.recipe.train
    augment = Augment.of(recipe)
    if context.spec.synthetic:
        return SyntheticLoader(SYNTHETIC_IMAGES, recipe.network.classes, settings, augment.shape, group.info)
    if settings.batch_size > len(context.train):
        context.log(f"--batch-size {settings.batch_size} is reduced to the {len(context.train)} training images")
    return Loader(context.train, augment, group.info, count_decoders(settings, group))


def _finish(context: RankContext, trainer: Trainer, record: TrainingRecord) -> TrainingRecord:
    """Store checkpoint and record, and delete the snapshots."""
    output = context.spec.output
    sha256 = save_weights(trainer.network.kept.state_dict(), output / CHECKPOINT)
    record = record.model_copy(update={"checkpoint": CHECKPOINT, "checkpoint_sha256": sha256})
    record.save(output / RECORD)
    delete_snapshots(output)
    _write_case(context, record, "train")
    return record


def _measure(context: RankContext) -> TrainingRecord:
    """Train for the speed: nothing is resumed, and nothing but the record is stored."""
    with context.group.raise_on_all():
        if context.spec.resume != "auto":
            raise UsageError("--performance resumes nothing", "leave out --resume")
    recorder, began = StepRecorder(), time.perf_counter()
    listeners: list[Listener] = [recorder, ScreenLines(context.recipe.train, context.progress)]
    with context.group.raise_on_all():
        if context.spec.guide_format and context.group.is_main:
            listeners.append(open_guide_log(_log_job(context, context.spec.output, "")))
    job = replace(_make_job(context, "", None), listeners=listeners)
    with closing(job.loader), catch_stop_signals() as signals:
        trainer = Trainer(job, context.group, context.progress, signals)
        trainer.train()
    record = _describe_training(context, trainer)
    facts = (record, context.recipe, time.perf_counter() - began, context.group.info.machines)

    def store() -> TrainingRecord:
        describe_speed(recorder.steps, *facts).save(context.spec.output / SPEED)
        _write_case(context, record, "perf")
        return record

    return context.group.run_on_main(store)


def _evaluate(context: RankContext) -> TrainingRecord:
    """Validate only: the weights of --resume, else those that a training left in `output`."""
    group = context.group
    weights = group.run_on_main(lambda: _read_weights(context))
    network = TrainedNetwork(context.recipe, group)
    network.load(weights, None)
    validator = Validator(context.recipe, context.val, group, context.progress)
    with group.raise_on_all():
        validator.check(network)
    with catch_stop_signals() as signals:
        validation, bad = validator.run(network, lambda: signals.received)
    record = _describe(context, "").model_copy(update={"validation": validation, "bad_images": bad})
    group.run_on_main(lambda: _finish_validation(context, record, validation))
    return record


def _finish_validation(context: RankContext, record: TrainingRecord, validation: Validation) -> None:
    output = context.spec.output
    record.save(output / VALIDATION)
    if context.spec.guide_format:
        write_validation(validation, output, record.device, context.recipe.train.batch_size)
        _write_case(context, record, "eval")


def _read_weights(context: RankContext) -> dict[str, Any]:
    output = context.spec.output
    path = context.spec.resume
    if path == "auto":
        stored = [output / name for name in (CHECKPOINT, SNAPSHOT, PREVIOUS) if (output / name).is_file()]
        if not stored:
            raise UsageError(f"there is no checkpoint in {output} to validate", "give --resume FILE")
        path = stored[0]
    start, _ = read_start(path, context.recipe)
    context.log(f"validating {path}")
    return start.network if start.average is None else start.average


def _describe_training(context: RankContext, trainer: Trainer) -> TrainingRecord:
    bad = context.group.all_gather_object({**trainer.bad_images, **trainer.job.loader.bad})
    state = trainer.state
    facts = {
        "epochs": state.epochs,
        "validation": trainer.validation,
        "speed": state.pace.to_speed(),
        "bad_images": {name: why for each in bad for name, why in each.items()},
        "resumed": state.resumed,
    }
    return _describe(context, trainer.job.key).model_copy(update=facts)


def _find_names(context: RankContext) -> tuple[str, ...]:
    recipe, images = context.recipe, context.train or context.val
    return read_names(recipe) or name_by_folders(images, recipe.network.classes)


def _describe(context: RankContext, key: str) -> TrainingRecord:
    """The record of a training before its first step."""
    return TrainingRecord(
        key=key,
        recipe=context.recipe.name,
        preset=context.spec.preset,
        settings=context.recipe.train.model_dump(mode="json"),
        precision=context.precision,
        device=str(context.group.device),
        world_size=context.group.size,
        epochs=(),
        performance=context.spec.performance,
        synthetic=context.spec.synthetic,
        class_names=_find_names(context),
        environment=read_environment(),
    )
