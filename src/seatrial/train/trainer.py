"""The training loop: steps, epochs, validations and snapshots, the same on one process and on many."""

import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from seatrial.data.images import LabelledImage
from seatrial.errors import Interrupted, SeatrialError, TrainingDiverged
from seatrial.machine.environment import machine_hash, read_environment
from seatrial.progress import Progress, Update
from seatrial.recipes.schema import Recipe
from seatrial.store.files import write_text
from seatrial.store.training import Validation
from seatrial.train.checkpoint.snapshot import Snapshot, save_snapshot
from seatrial.train.checkpoint.snapshot_files import SNAPSHOT
from seatrial.train.checkpoint.train_state import EpochSums, SpeedSums, TrainState
from seatrial.train.device_copies import Readback
from seatrial.train.distributed.process_group import ProcessGroup
from seatrial.train.input.loader import Batch, Batches
from seatrial.train.input.sampler import check_parts
from seatrial.train.network import TrainedNetwork, is_finite
from seatrial.train.optim import learning_rate_at, load_optimizer, make_optimizer
from seatrial.train.stop_signals import StopSignals
from seatrial.train.tracking.events import Listener, Step
from seatrial.train.train_step import Mixing, Stepper
from seatrial.train.validate import Validator

DIVERGED = "diverged.txt"
"""Beside the snapshot: the images of the step whose loss was not finite."""
SMALLER = "try a smaller --learning-rate"
NAMED = 3
"""How many of these images the error names."""


@dataclass(frozen=True, slots=True)
class TrainJob:
    """What to train on, where snapshots go, and who logs it."""

    recipe: Recipe
    loader: Batches
    val: Sequence[LabelledImage]
    """The held-out images; without any there is no validation."""
    key: str
    """Identifies this training."""
    folder: Path | None
    """Where snapshots go; None writes none."""
    mix: Mixing | None = None
    listeners: Sequence[Listener] = ()
    """Logs, on the first process."""
    epoch_hooks: Sequence[Callable[[Snapshot], None]] = ()
    """Called with the state after every epoch, on the first process."""


@dataclass(slots=True)
class _PendingStep:
    """A step whose figures have not been read from the device yet."""

    number: int
    """From 0, over all epochs."""
    sums: Readback
    total: int
    images: Sequence[LabelledImage]
    rate: float
    began: float
    data_s: float
    ended: float = field(default=math.nan)


class Trainer:
    """A training in this process; `train` brings it from its current state to the last epoch."""

    def __init__(self, job: TrainJob, group: ProcessGroup, progress: Progress, signals: StopSignals) -> None:
        self.job, self.group, self.progress, self.signals = job, group, progress, signals
        self.settings = job.recipe.train
        self.network = TrainedNetwork(job.recipe, group)
        check_parts(self.settings, job.loader.batch_size, group.size, self.network.has_batch_norm())
        self.optimizer = make_optimizer(self.network.plain, self.settings)
        self.stepper = Stepper(job.recipe, self.network, self.optimizer, group, job.mix)
        self.validator = Validator(job.recipe, job.val, group, progress)
        with group.raise_on_all():
            self._check_images()
        self.steps = job.loader.steps
        self.setup = f"{group.size} on {group.device.type}, {machine_hash(read_environment())}"
        self.state = TrainState(pace=SpeedSums(setup=self.setup))
        self.bad_images: dict[str, str] = {}
        self.validation: Validation | None = None
        self.pending: _PendingStep | None = None
        self.attempt_steps = 0
        """Steps since this process started or resumed the training."""
        self.listener_error: SeatrialError | None = None
        """To be raised at the next sync, on all ranks."""
        self.last_good = "none yet"
        """The last good snapshot, in words."""

    def _check_images(self) -> None:
        """Refuse a network that does not take the images of a step, or those of validation, before the first step.

        Raises:
            UsageError: says what they are.
        """
        recipe, settings = self.job.recipe, self.settings
        size = recipe.input_size if settings.size is None else (settings.size, settings.size)
        least = self.job.loader.batch_size // self.group.size // settings.accumulate
        fix = "give another --size, or change the card's preprocess steps"
        # More images change nothing but the time that it takes.
        self.network.check_images((min(least, 2), recipe.channels, *size), fix)
        if self.job.val:
            self.validator.check(self.network)

    def state_dict(self) -> Snapshot:
        """The state between two steps."""
        average = self.network.average
        return Snapshot(
            key=self.job.key,
            seed=self.settings.seed,
            network=self.network.plain.state_dict(),
            average=None if average is None else average.module.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scaler=self.stepper.precision.scaler.state_dict(),
            train_state=self.state,
        )

    def load_state_dict(self, snapshot: Snapshot) -> None:
        """Resume from a snapshot."""
        self.network.load(snapshot.network, snapshot.average)
        if snapshot.optimizer is not None:
            load_optimizer(self.optimizer, snapshot.optimizer)
        if snapshot.scaler and self.stepper.precision.scaler.is_enabled():
            self.stepper.precision.scaler.load_state_dict(snapshot.scaler)
        self.state = snapshot.train_state
        self.state.resumed += 1
        self.state.pace = self.state.pace.resume_on(self.setup)
        self.last_good = f"the one it resumed from, of step {self.count_steps()}"
        if self.count_steps():
            step = f", step {self.state.step} of {self.steps}" if self.state.step else ""
            self.log(f"resuming after epoch {self.state.epoch} of {self.settings.epochs}{step}")

    def train(self) -> None:
        """Train to the last epoch.

        Raises:
            TrainingDiverged: loss or weights are no longer finite.
            DataError: an image cannot be read.
            StorageError: a snapshot or log cannot be written.
            Interrupted: a process got a stop signal; a snapshot was written.
        """
        try:
            while self.state.epoch < self.settings.epochs:
                self.train_epoch()
                self.finish_epoch()
                self.save_snapshot()
                self.run_epoch_hooks()
            if self.validation is None and self.job.val:
                # It was stopped after its last snapshot, or started from weights of a finished training.
                self.validate()
        finally:
            self.close()

    def train_epoch(self) -> None:
        """Do the steps that are left of the epoch."""
        self.network.whole.train()
        first, every = self.state.step, self.settings.checkpoint_every
        if first == self.steps:
            return  # It was stopped while it validated.
        with closing(self.job.loader.epoch(self.state.epoch, first)) as batches:
            for step in range(first, self.steps):
                self.train_step(self.state.epoch * self.steps + step, batches)
                if every and (step + 1) % every == 0 and step + 1 < self.steps:
                    self.finish_step()
                    self.save_snapshot()
            self.finish_step()

    def train_step(self, number: int, batches: Generator[Batch]) -> None:
        """Start a step, then finish the one before it while the device works."""
        began = time.perf_counter()
        if self.pending is not None:
            self.pending.ended = began
        started = self.start_step(number, batches, began)
        self.finish_step()
        self.pending = started

    def start_step(self, number: int, batches: Generator[Batch], began: float) -> _PendingStep:
        """Wait for a step's images and start it; on a GPU it still runs when this returns."""
        error = self.listener_error
        batch: Batch | None = None
        try:
            batch = next(batches)
        except SeatrialError as raised:
            error = error or raised
        count = 0 if batch is None else len(batch.labels)
        stop, values = self.group.sync(error, self.signals.received, count, time.perf_counter() - began)
        if stop:
            self.stop()
        counts, waits = values.T
        assert batch is not None  # Or sync would have raised the error.
        rate = learning_rate_at(number, self.steps, self.settings)
        total = int(counts.sum())
        try:
            sums = self.stepper.run(batch.pixels, batch.labels, number, rate, total)
        except TrainingDiverged as raised:
            # On all ranks, as their gradients are the same.
            with self.group.raise_on_all():
                raise self.diverged(raised.problem, raised.fix) from None
        return _PendingStep(number, sums, total, batch.images, rate, began, float(waits.max()))

    def finish_step(self) -> None:
        """Read the figures of the pending step, and report them."""
        pending, self.pending = self.pending, None
        if pending is None:
            return
        loss, hits1, hits5 = pending.sums.read()
        if not math.isfinite(loss):
            self.stop_diverged(pending, loss)
        ended = time.perf_counter() if math.isnan(pending.ended) else pending.ended
        mixed = self.job.mix is not None
        step = Step(
            step=pending.number + 1,
            steps=self.steps * self.settings.epochs,
            epoch=self.state.epoch + 1,
            epoch_step=self.state.step + 1,
            epoch_steps=self.steps,
            images=pending.total,
            loss=loss / pending.total,
            top1=None if mixed else hits1 / pending.total,
            top5=None if mixed else hits5 / pending.total,
            learning_rate=pending.rate,
            data_s=pending.data_s,
            compute_s=max(0.0, ended - pending.began - pending.data_s),
        )
        self.attempt_steps += 1
        self.state.step = step.epoch_step
        self.state.pace.add(step, self.attempt_steps)
        self.state.sums.add(step, loss, hits1, hits5)
        self.notify(lambda listener: listener.on_step(step))
        self.show(step)

    def show(self, step: Step) -> None:
        """Advance the progress bar, with the epoch's figures so far."""
        sums = self.state.sums
        facts = {"loss": f"{sums.loss / sums.images:.3f}"}
        if step.top1 is not None:
            facts["top-1"] = f"{sums.hits1 / sums.images:.1%}"
        facts["images/s"] = f"{sums.images / sums.seconds:.0f}"
        self.progress(Update("train", step.step, step.steps, "steps", facts))

    def notify(self, event: Callable[[Listener], None]) -> None:
        """Call every listener."""
        try:
            for listener in self.job.listeners:
                event(listener)
        except SeatrialError as error:
            self.listener_error = error

    def finish_epoch(self) -> None:
        """Validate, and report the epoch."""
        rate = learning_rate_at((self.state.epoch + 1) * self.steps - 1, self.steps, self.settings)
        epoch = self.state.sums.to_epoch(self.state.epoch + 1, rate, self.job.mix is not None)
        held_out = ""
        with self.group.raise_on_all():
            self.check_weights()
        if self.job.val:
            val = self.validate()
            figures = {"val_top1": val.top1, "val_top5": val.top5, "val_loss": val.loss, "val_images": val.images}
            epoch = epoch.model_copy(update=figures)
            self.state.best_top1 = max(self.state.best_top1, val.top1)
            part = f" of {val.images:,} in {val.of_images:,}" if val.is_partial else ""
            held_out = f", held-out top-1 {val.top1:.2%}{part}"
        self.state.epoch, self.state.step, self.state.sums = self.state.epoch + 1, 0, EpochSums()
        self.state.epochs = (*self.state.epochs, epoch)
        self.notify(lambda listener: listener.on_epoch(epoch))
        self.log(f"epoch {self.state.epoch}/{self.settings.epochs}: loss {epoch.loss:.3f}{held_out}")

    def validate(self) -> Validation:
        """Validate the weights that will be stored, on the held-out images.

        Raises:
            DataError: one cannot be read.
            TrainingDiverged: the loss is not finite.
            Interrupted: a process got a stop signal.
        """
        try:
            self.validation, bad = self.validator.run(self.network, lambda: self.signals.received)
        except Interrupted:
            self.stop()
        except TrainingDiverged as error:
            raise self.diverged(error.problem) from None
        self.bad_images.update(bad)
        return self.validation

    def save_snapshot(self) -> None:
        """Write a snapshot, never of bad weights; every process waits until it is written."""
        folder = self.job.folder
        if folder is None:
            return
        with self.group.raise_on_all():
            if self.group.is_main:
                self.check_weights()
                save_snapshot(folder, self.state_dict())
        self.last_good = f"{folder / SNAPSHOT} of step {self.count_steps()}"

    def check_weights(self) -> None:
        """Refuse weights that the last step made infinite; its loss was still that of the weights before.

        Raises:
            TrainingDiverged: names the step.
        """
        if not is_finite(self.network.plain):
            raise self.diverged(f"the weights are no longer finite after step {self.count_steps()}")

    def run_epoch_hooks(self) -> None:
        """Give the hooks the state after an epoch."""
        with self.group.raise_on_all():
            if self.listener_error is not None:
                raise self.listener_error
            for hook in self.job.epoch_hooks:
                hook(self.state_dict())

    def count_steps(self) -> int:
        """Steps done, over all epochs."""
        return self.state.epoch * self.steps + self.state.step

    def stop(self) -> NoReturn:
        """Save and raise Interrupted, as all ranks do before the same step."""
        self.finish_step()
        self.save_snapshot()
        problem = f"stopped after step {self.count_steps()} of {self.steps * self.settings.epochs}"
        raise Interrupted(problem, "run the same command to resume" if self.job.folder else None)

    def stop_diverged(self, pending: _PendingStep, loss: float) -> NoReturn:
        """Store the images of the step whose loss is not finite.

        Raises:
            TrainingDiverged: names the step and some of them.
        """
        parts = self.group.all_gather_object([str(image) for image in pending.images])
        names = [name for part in parts for name in part]
        with self.group.raise_on_all():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            if self.job.folder is not None and self.group.is_main:
                write_text(self.job.folder / DIVERGED, "\n".join(names) + "\n")
                more += f" (all in {self.job.folder / DIVERGED})"
            where = f"step {pending.number + 1} (epoch {self.state.epoch + 1}) with {', '.join(names[:NAMED])}{more}"
            raise self.diverged(f"the loss became {loss} at {where}")

    def diverged(self, problem: str, fix: str | None = SMALLER) -> TrainingDiverged:
        """The error of a training that diverged, with the snapshot that is left."""
        return TrainingDiverged(f"{problem}; last good checkpoint: {self.last_good}", fix)

    def log(self, note: str) -> None:
        """Show a line."""
        self.progress(Update("train", note=note))

    def close(self) -> None:
        """Close the logs."""
        for listener in self.job.listeners:
            listener.close()
