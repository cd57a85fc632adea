"""The training loop: steps, epochs, validations and snapshots, the same on one process and on many."""

import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import NoReturn

from seatrial.data.images import LabelledImage
from seatrial.errors import Interrupted, SeatrialError, TrainingDiverged
from seatrial.progress import Progress, Update
from seatrial.store.files import write_text
from seatrial.store.training import Validation
from seatrial.train.checkpoint.snapshot import SNAPSHOT, Snapshot, save_snapshot
from seatrial.train.checkpoint.train_state import Standing, Sums
from seatrial.train.device_copies import Readback
from seatrial.train.distributed.process_group import World
from seatrial.train.input.loader import Batch
from seatrial.train.input.sampler import check_parts
from seatrial.train.job import TrainJob
from seatrial.train.network import TrainedNetwork, is_finite
from seatrial.train.optim import learning_rate_at, load_optimizer, make_optimizer
from seatrial.train.stop_signals import Stop
from seatrial.train.tracking.events import Listener, Step
from seatrial.train.train_step import Stepper
from seatrial.train.validate import Stopped, Validator

DIVERGED = "diverged.txt"
"""Beside the snapshot: the images of the step whose loss was no number."""
SMALLER = "try a smaller --learning-rate"
NAMED = 3
"""Of them are named on the terminal."""


@dataclass(slots=True)
class _Launched:
    """A step whose figures have not been read yet."""

    number: int
    """From 0, over all epochs."""
    facts: Readback
    total: int
    images: Sequence[LabelledImage]
    rate: float
    began: float
    data_s: float
    ended: float = field(default=math.nan)


class Trainer:
    """A training in this process; `run` brings it from where it stands to the end."""

    def __init__(self, job: TrainJob, world: World, progress: Progress, stop: Stop) -> None:
        self.job, self.world, self.progress, self.stop = job, world, progress, stop
        self.settings = job.recipe.train
        self.network = TrainedNetwork(job.recipe, world)
        check_parts(self.settings, job.loader.batch_size, world.size, self.network.has_batch_norm())
        self.optimizer = make_optimizer(self.network.plain, self.settings)
        self.stepper = Stepper(job.recipe, self.network, self.optimizer, world, job.mix)
        self.validator = Validator(job.recipe, job.val, world, progress)
        self.steps = job.loader.steps
        self.at = Standing()
        self.bad: dict[str, str] = {}
        self.validation: Validation | None = None
        self.launched: _Launched | None = None
        self.sitting = 0
        """Steps since the training was begun or taken up."""
        self.trouble: SeatrialError | None = None
        """What a listener raised, to be raised where all processes meet."""
        self.saved = "none yet"
        """The last good snapshot, in words."""

    def take_up(self, start: Snapshot) -> None:
        """Go on from a snapshot instead of the beginning."""
        self.network.load(start.network, start.average)
        if start.optimizer is not None:
            load_optimizer(self.optimizer, start.optimizer)
        if start.scaler and self.stepper.precision.scaler.is_enabled():
            self.stepper.precision.scaler.load_state_dict(start.scaler)
        self.at = start.standing
        self.at.resumed += 1
        self.saved = f"the one it went on from, of step {self.number()}"
        if self.number():
            self.say(f"going on after epoch {self.at.epoch} of {self.settings.epochs}", step=self.at.step)

    def run(self) -> None:
        """Train to the last epoch.

        Raises:
            TrainingDiverged: the loss is no longer a number.
            DataError: a file is no image.
            StorageError: a snapshot cannot be written.
            Interrupted: a process was asked to stop; a snapshot was written.
        """
        try:
            while self.at.epoch < self.settings.epochs:
                self.run_steps()
                self.end_epoch()
                self.save()
                self.keep()
            if self.validation is None and self.job.val:
                # It was stopped after its last snapshot, or began with weights that were trained before.
                self.validate()
        finally:
            for listener in self.job.listeners:
                listener.close()

    def run_steps(self) -> None:
        """The steps of the epoch that are still to do."""
        self.network.whole.train()
        first = self.at.step
        if first == self.steps:
            return  # It was stopped while it validated.
        every = self.settings.checkpoint_every
        with closing(self.job.loader.epoch(self.at.epoch, first)) as batches:
            for step in range(first, self.steps):
                began = time.perf_counter()
                if self.launched is not None:
                    self.launched.ended = began
                launched = self.launch(self.at.epoch * self.steps + step, batches, began)
                self.settle()
                self.launched = launched
                if every and (step + 1) % every == 0 and step + 1 < self.steps:
                    self.settle()
                    self.save()
            self.settle()

    def launch(self, number: int, batches: Generator[Batch], began: float) -> _Launched:
        """Wait for a step's images and set it going; on a GPU it is not done when this returns."""
        error = self.trouble
        batch: Batch | None = None
        try:
            batch = next(batches)
        except SeatrialError as raised:
            error = error or raised
        count = 0 if batch is None else len(batch.labels)
        stopped, said = self.world.meet(error, self.stop.asked, count, time.perf_counter() - began)
        if stopped:
            self.leave()
        counts, waits = said.T
        assert batch is not None  # Or there would have been an error.
        rate = learning_rate_at(number, self.steps, self.settings)
        total = int(counts.sum())
        try:
            facts = self.stepper.run(batch.pixels, batch.labels, number, rate, total)
        except TrainingDiverged as error:
            # In every process, as their gradients are the same.
            with self.world.together():
                told = f"{error.problem}; last good checkpoint: {self.saved}"
                raise TrainingDiverged(told, error.fix) from None
        return _Launched(number, facts, total, batch.images, rate, began, float(waits.max()))

    def settle(self) -> None:
        """Read the figures of the step that was launched, one step late where it can be, and count them."""
        launched, self.launched = self.launched, None
        if launched is None:
            return
        loss, hits1, hits5 = launched.facts.read()
        if not math.isfinite(loss):
            self.diverge(launched, loss)
        ended = time.perf_counter() if math.isnan(launched.ended) else launched.ended
        mixed = self.job.mix is not None
        step = Step(
            step=launched.number + 1,
            steps=self.steps * self.settings.epochs,
            epoch=self.at.epoch + 1,
            epoch_step=self.at.step + 1,
            epoch_steps=self.steps,
            images=launched.total,
            loss=loss / launched.total,
            top1=None if mixed else hits1 / launched.total,
            top5=None if mixed else hits5 / launched.total,
            learning_rate=launched.rate,
            data_s=launched.data_s,
            compute_s=max(0.0, ended - launched.began - launched.data_s),
        )
        self.count(step, loss, hits1, hits5)

    def count(self, step: Step, loss: float, hits1: float, hits5: float) -> None:
        """Add a step to where the training stands, and tell it."""
        self.sitting += 1
        self.at.step = step.epoch_step
        self.at.pace.add(step, self.sitting)
        sums = self.at.sums
        sums.loss, sums.images = sums.loss + loss, sums.images + step.images
        sums.hits1, sums.hits5 = sums.hits1 + hits1, sums.hits5 + hits5
        sums.seconds, sums.data_s = sums.seconds + step.data_s + step.compute_s, sums.data_s + step.data_s
        self.tell(lambda listener: listener.on_step(step))
        facts = {"loss": f"{sums.loss / sums.images:.3f}"}
        if step.top1 is not None:
            facts["top-1"] = f"{sums.hits1 / sums.images:.1%}"
        facts["images/s"] = f"{sums.images / sums.seconds:.0f}"
        self.progress(Update("train", step.step, step.steps, "steps", facts))

    def tell(self, say: Callable[[Listener], None]) -> None:
        """Let every listener know something."""
        try:
            for listener in self.job.listeners:
                say(listener)
        except SeatrialError as error:
            self.trouble = error

    def end_epoch(self) -> None:
        """Validate, and close the epoch."""
        rate = learning_rate_at((self.at.epoch + 1) * self.steps - 1, self.steps, self.settings)
        epoch = self.at.sums.to_epoch(self.at.epoch + 1, rate, self.job.mix is not None)
        held_out = ""
        with self.world.together():
            self.check_weights()
        if self.job.val:
            found = self.validate()
            epoch = epoch.model_copy(update={"val_top1": found.top1, "val_top5": found.top5, "val_loss": found.loss})
            self.at.best_top1 = max(self.at.best_top1, found.top1)
            part = f" of {found.images:,} in {found.of_images:,}" if found.is_partial else ""
            held_out = f", held-out top-1 {found.top1:.2%}{part}"
        self.at.epoch, self.at.step, self.at.sums = self.at.epoch + 1, 0, Sums()
        self.at.epochs = (*self.at.epochs, epoch)
        self.tell(lambda listener: listener.on_epoch(epoch))
        self.say(f"epoch {self.at.epoch}/{self.settings.epochs}: loss {epoch.loss:.3f}{held_out}")

    def validate(self) -> Validation:
        """What the held-out images say of the weights that are kept.

        Raises:
            DataError: one cannot be read.
            TrainingDiverged: the loss is no number.
            Interrupted: a process was asked to stop.
        """
        try:
            self.validation, bad = self.validator.run(self.network, lambda: self.stop.asked)
        except Stopped:
            self.leave()
        except TrainingDiverged as error:
            raise TrainingDiverged(f"{error.problem}; last good checkpoint: {self.saved}", SMALLER) from None
        self.bad.update(bad)
        return self.validation

    def take(self) -> Snapshot:
        """The state as it is, between two steps."""
        average = self.network.average
        return Snapshot(
            key=self.job.key,
            seed=self.settings.seed,
            network=self.network.plain.state_dict(),
            average=None if average is None else average.module.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scaler=self.stepper.precision.scaler.state_dict(),
            standing=self.at,
        )

    def save(self) -> None:
        """Write a snapshot, never of bad weights; every process waits until it is written."""
        if self.job.folder is None:
            return
        with self.world.together():
            if self.world.first:
                self.check_weights()
                save_snapshot(self.job.folder, self.take())
        self.saved = f"{self.job.folder / SNAPSHOT} of step {self.number()}"

    def check_weights(self) -> None:
        """Refuse weights that went bad in the last step, whose loss was still that of good ones.

        Raises:
            TrainingDiverged: names the step.
        """
        if not is_finite(self.network.plain):
            raise TrainingDiverged(
                f"the weights are no longer numbers after step {self.number()}; last good checkpoint: {self.saved}",
                SMALLER,
            )

    def keep(self) -> None:
        """Give the state after an epoch to whoever keeps it in another form."""
        with self.world.together():
            if self.trouble is not None:
                raise self.trouble
            for keeper in self.job.keepers:
                keeper(self.take())

    def number(self) -> int:
        """Steps done, over all epochs."""
        return self.at.epoch * self.steps + self.at.step

    def leave(self) -> NoReturn:
        """Save and stop, as all processes do before the same step."""
        self.settle()
        self.save()
        where = f"after step {self.number()} of {self.steps * self.settings.epochs}"
        raise Interrupted(f"stopped {where}", "the same command goes on there" if self.job.folder else None)

    def diverge(self, launched: _Launched, loss: float) -> NoReturn:
        """Say which step it was, its images, and what is left.

        Raises:
            TrainingDiverged: always.
        """
        names = [name for part in self.world.gather([str(i) for i in launched.images]) for name in part]
        with self.world.together():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            if self.job.folder is not None and self.world.first:
                write_text(self.job.folder / DIVERGED, "\n".join(names) + "\n")
                more += f" (all in {self.job.folder / DIVERGED})"
            raise TrainingDiverged(
                f"the loss became {loss} at step {launched.number + 1} (epoch {self.at.epoch + 1}) with "
                f"{', '.join(names[:NAMED])}{more}; last good checkpoint: {self.saved}",
                SMALLER,
            )

    def say(self, note: str, step: int = 0) -> None:
        """Tell a line."""
        self.progress(Update("train", note=note + (f", step {step} of {self.steps}" if step else "")))
