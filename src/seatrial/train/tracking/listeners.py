"""Who is told of a training: `train.jsonl` and lines on the screen always, other tools' forms on request."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seatrial.errors import UsageError
from seatrial.progress import Progress, Update
from seatrial.recipes.training import Train
from seatrial.store.files import describe_os_error, make_folder
from seatrial.store.records import Epoch
from seatrial.strict import suggest
from seatrial.train.tracking.events import Listener, Step
from seatrial.train.tracking.line_file import LineFile
from seatrial.train.tracking.log_job import LogJob

LOG = "train.jsonl"


def open_listeners(job: LogJob, progress: Progress) -> list[Listener]:
    """Everybody who is told; to be opened in the first process only.

    Raises:
        EngineError: a tracker is not installed.
        UsageError: there is no such tracker.
        StorageError: a log may not be written.
    """
    from seatrial.train.tracking.dllogger import DLLogger
    from seatrial.train.tracking.trackers import open_mlflow, open_tensorboard

    trackers = {"tensorboard": open_tensorboard, "mlflow": open_mlflow}
    for name in job.track:
        if name not in trackers:
            raise UsageError(f"there is no tracker '{name}'", suggest(name, list(trackers)))
    make_folder(job.output)
    # The trackers first: one that is missing must leave no other log behind, shortened.
    found: list[Listener] = [trackers[name](job) for name in job.track]
    found += [JsonLines(job), ScreenLines(job.settings, progress)]
    return [*found, DLLogger(job)] if job.dllogger else found


class JsonLines:
    """`train.jsonl`: a JSON object for each step and each epoch, on disk before the next one begins.

    After a resume it is first cut back to the snapshot, so that it holds each step once.
    """

    def __init__(self, job: LogJob) -> None:
        path = job.output / LOG
        self.step = job.step
        try:
            _cut(path, job.step, job.epochs)
        except OSError as error:
            raise describe_os_error(error, path) from None
        self.file = LineFile(path)

    def on_step(self, step: Step) -> None:
        """A line with what is known of the step; a loss that is no number is null."""
        self.step = step.step
        self._write(
            {
                "event": "step",
                "step": step.step,
                "epoch": step.epoch,
                "loss": step.loss,
                "lr": step.learning_rate,
                "images_per_s": step.images_per_s,
                "data_s": step.data_s,
                "compute_s": step.compute_s,
                "top1": step.top1,
                "top5": step.top5,
            }
        )

    def on_epoch(self, epoch: Epoch) -> None:
        """A line with the epoch as the record has it."""
        facts = epoch.model_dump(mode="json")
        self._write({"event": "epoch", "step": self.step, "epoch": facts.pop("epoch"), **facts})

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _write(self, facts: Mapping[str, Any]) -> None:
        self.file.write(json.dumps({name: _drop_no_number(value) for name, value in facts.items()}))


def _drop_no_number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cut(path: Path, step: int, epochs: int) -> None:
    """Keep the lines up to a snapshot; what was being written when the training was killed goes too."""
    if not path.exists():
        return
    kept = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n") or not _is_before(line, step, epochs):
                break
            kept += len(line)
    os.truncate(path, kept)


def _is_before(line: bytes, step: int, epochs: int) -> bool:
    try:
        facts = json.loads(line)
        return bool(facts["epoch"] <= epochs if facts["event"] == "epoch" else facts["step"] <= step)
    except (ValueError, TypeError, KeyError):
        return False


class ScreenLines:
    """A line for a person every `print_freq` steps of an epoch."""

    def __init__(self, settings: Train, progress: Progress) -> None:
        self.settings = settings
        self.progress = progress

    def on_step(self, step: Step) -> None:
        """The figures of this step alone."""
        if step.epoch_step % self.settings.print_freq:
            return
        place = f"epoch {step.epoch}/{self.settings.epochs}, step {step.epoch_step}/{step.epoch_steps}"
        right = "" if step.top1 is None else f", top-1 {step.top1:.1%}"
        pace = f"{step.images_per_s:.0f} images/s, {step.data_s / (step.data_s + step.compute_s):.0%} of it waiting"
        note = f"{place}: loss {step.loss:.3f}{right}, lr {step.learning_rate:.4g}, {pace}"
        self.progress(Update("train", note=note))

    def on_epoch(self, epoch: Epoch) -> None:
        """The loop tells of it itself."""

    def close(self) -> None:
        """Nothing is held."""


class StepSampler:
    """Keeps every step and epoch, for the record of a training's speed."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.epochs: list[Epoch] = []

    def on_step(self, step: Step) -> None:
        """Keep it."""
        self.steps.append(step)

    def on_epoch(self, epoch: Epoch) -> None:
        """Keep it."""
        self.epochs.append(epoch)

    def close(self) -> None:
        """Nothing is held."""
