"""The logs of a training: `train.jsonl` and lines on the terminal always, other tools' formats on request."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seatrial.progress import Progress, Update
from seatrial.recipes.training import Train
from seatrial.store.files import describe_os_error, make_folder
from seatrial.store.training import Epoch
from seatrial.strict import check_name
from seatrial.train.tracking.events import Listener, LogJob, Step
from seatrial.train.tracking.guide_log import GuideLog, name_log
from seatrial.train.tracking.line_file import LineFile

LOG = "train.jsonl"


def open_listeners(job: LogJob, progress: Progress) -> list[Listener]:
    """Open all logs; in the first process only.

    Raises:
        EngineError: a tracker is not installed.
        UsageError: there is no such tracker.
        StorageError: a log may not be written.
    """
    from seatrial.train.tracking.dllogger import DLLogger
    from seatrial.train.tracking.trackers import MLflow, TensorBoard

    trackers = {"tensorboard": TensorBoard, "mlflow": MLflow}
    for name in job.track:
        check_name(name, trackers, f"unknown tracker '{name}'")
    make_folder(job.output)
    # The trackers first: where one is missing no other log may be cut back.
    listeners: list[Listener] = [trackers[name](job) for name in job.track]
    listeners += [JsonLines(job), ScreenLines(job.settings, progress)]
    listeners += [DLLogger(job)] if job.dllogger else []
    return [*listeners, open_guide_log(job)] if job.guide_log else listeners


def open_guide_log(job: LogJob) -> GuideLog:
    """The guide's `train_N.log`: a new one, or after a resume that of the steps before, with those since the snapshot.

    Raises:
        StorageError: it may not be written.
    """
    make_folder(job.output)
    if job.step == 0:
        (job.output / name_log(job.device)).unlink(missing_ok=True)
    settings = job.settings
    return GuideLog(job.output, job.device, job.processes, settings.batch_size, settings.print_freq)


class JsonLines(Listener):
    """`train.jsonl`: a JSON object for each step and each epoch, on disk before the next one begins.

    After a resume it is first cut back to the snapshot, so that it has each step once.
    """

    def __init__(self, job: LogJob) -> None:
        path = job.output / LOG
        self.step = job.step
        try:
            _cut_back(path, job.step, job.epochs)
        except OSError as error:
            raise describe_os_error(error, path) from None
        self.file = LineFile(path)

    def on_step(self, step: Step) -> None:
        """Write the step; figures that are not finite are null."""
        self.step = step.step
        self._write(
            {
                "event": "step",
                "step": step.step,
                "steps": step.steps,
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
        """Write the epoch, with the fields of the record."""
        facts = epoch.model_dump(mode="json")
        self._write({"event": "epoch", "step": self.step, "epoch": facts.pop("epoch"), **facts})

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _write(self, facts: Mapping[str, Any]) -> None:
        self.file.write(json.dumps({name: _null_if_not_finite(value) for name, value in facts.items()}))


def _null_if_not_finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cut_back(path: Path, step: int, epochs: int) -> None:
    """Keep the lines up to a snapshot; a line that was not written whole goes too."""
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


class ScreenLines(Listener):
    """A line on the terminal every `print_freq` steps of an epoch."""

    def __init__(self, settings: Train, progress: Progress) -> None:
        self.settings = settings
        self.progress = progress

    def on_step(self, step: Step) -> None:
        """Show the figures of this step alone."""
        if step.epoch_step % self.settings.print_freq:
            return
        where = f"epoch {step.epoch}/{self.settings.epochs}, step {step.epoch_step}/{step.epoch_steps}"
        top1 = "" if step.top1 is None else f", top-1 {step.top1:.1%}"
        rate = f"{step.images_per_s:.0f} images/s, {step.data_s / step.seconds:.0%} of the time waiting"
        note = f"{where}: loss {step.loss:.3f}{top1}, lr {step.learning_rate:.4g}, {rate}"
        self.progress(Update("train", note=note))


class StepRecorder(Listener):
    """Collects every step, for the record of a training's speed."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def on_step(self, step: Step) -> None:
        """Collect the step."""
        self.steps.append(step)
