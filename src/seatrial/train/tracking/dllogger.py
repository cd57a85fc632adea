"""The lines of NVIDIA's DLLogger (github.com/NVIDIA/dllogger), by the names of its ResNet-50 scripts.

`dllogger.log` has what its StdOutBackend prints, `dllogger.json` what its JSONStreamBackend writes. Both are appended
to: after a resume the steps since the snapshot stand in them twice, as with DLLogger itself.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from seatrial.store.records import Epoch
from seatrial.train.tracking.events import Step
from seatrial.train.tracking.line_file import LineFile

if TYPE_CHECKING:
    from seatrial.train.tracking.log_job import LogJob

METRICS: Mapping[str, tuple[str, str]] = {
    "train.loss": ("", ":.5f"),
    "train.top1": ("%", ":.2f"),
    "train.top5": ("%", ":.2f"),
    "train.lr": ("", ":.5f"),
    "train.compute_ips": ("img/s", ":.2f"),
    "train.total_ips": ("img/s", ":.2f"),
    "train.data_time": ("s", ":.5f"),
    "train.compute_time": ("s", ":.5f"),
    "val.top1": ("%", ":.2f"),
    "val.top5": ("%", ":.2f"),
    "val.loss": ("", ":.5f"),
}
"""Unit and format by metric."""
_OF_EPOCH = {"loss": "train.loss", "train_top1": "train.top1", "images_per_s": "train.total_ips"} | {
    f"val_{name}": f"val.{name}" for name in ("top1", "top5", "loss")
}


class DLLogger:
    """Writes both files: a line every `print_freq` steps of an epoch and one for each epoch, both counted from 0."""

    def __init__(self, job: "LogJob", now: Callable[[], datetime] = datetime.now) -> None:
        self.every = job.settings.print_freq
        self.now = now
        self.begun = now()
        self.text = LineFile(job.output / "dllogger.log")
        self.json = LineFile(job.output / "dllogger.json")
        for name, (unit, form) in METRICS.items():
            self._write_json("METADATA", {"metric": name, "metadata": {"unit": unit, "format": form}})

    def on_step(self, step: Step) -> None:
        """Every `print_freq` steps of an epoch."""
        if step.epoch_step % self.every:
            return
        known = {"train.top1": step.top1, "train.top5": step.top5}
        data = {
            "train.loss": step.loss,
            **{name: 100 * value for name, value in known.items() if value is not None},
            "train.lr": step.learning_rate,
            "train.compute_ips": step.images / step.compute_s if step.compute_s else 0.0,
            "train.total_ips": step.images_per_s,
            "train.data_time": step.data_s,
            "train.compute_time": step.compute_s,
        }
        self._log([step.epoch - 1, step.epoch_step - 1], data)

    def on_epoch(self, epoch: Epoch) -> None:
        """The means over the epoch, and its validation."""
        facts = {_OF_EPOCH[name]: value for name, value in epoch.model_dump().items() if name in _OF_EPOCH}
        known = {name: value for name, value in facts.items() if value is not None}
        self._log([epoch.epoch - 1], {name: 100 * v if METRICS[name][0] == "%" else v for name, v in known.items()})

    def close(self) -> None:
        """Close both files."""
        self.text.close()
        self.json.close()

    def _log(self, step: list[int], data: Mapping[str, float]) -> None:
        place = "".join(f"{name}: {number} " for name, number in zip(("Epoch", "Iteration"), step, strict=False))
        told = " ".join(f"{name} : {format(v, METRICS[name][1][1:])} {METRICS[name][0]}" for name, v in data.items())
        self._write_json("LOG", {"step": step, "data": data})
        self.text.write(f"DLL {self.now()} - {place} {told}")

    def _write_json(self, kind: str, facts: Mapping[str, Any]) -> None:
        now = self.now()
        about = {
            "timestamp": str(now.timestamp()),
            "datetime": str(now),
            "elapsedtime": str((now - self.begun).total_seconds()),
            "type": kind,
        }
        self.json.write(f"DLLL {json.dumps({**about, **facts})}")
