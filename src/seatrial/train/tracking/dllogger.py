"""The lines of NVIDIA's DLLogger (github.com/NVIDIA/dllogger), by the names of its ResNet-50 scripts.

`dllogger.log` has what its StdOutBackend prints, `dllogger.json` what its JSONStreamBackend writes. Both are appended
to: after a resume they have the steps since the snapshot twice, as with DLLogger itself.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from seatrial.store.training import Epoch
from seatrial.train.tracking.events import Listener, LogJob, Step
from seatrial.train.tracking.line_file import LineFile

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


class DLLogger(Listener):
    """Writes both files: a line every `print_freq` steps of an epoch and one for each epoch, both counted from 0."""

    def __init__(self, job: LogJob, now: Callable[[], datetime] = datetime.now) -> None:
        self.every, self.now, self.started = job.settings.print_freq, now, now()
        self.text, self.json = (LineFile(job.output / name) for name in ("dllogger.log", "dllogger.json"))
        for name, (unit, form) in METRICS.items():
            self._write_json("METADATA", {"metric": name, "metadata": {"unit": unit, "format": form}})

    def on_step(self, step: Step) -> None:
        """Write every `print_freq`-th step of an epoch."""
        if step.epoch_step % self.every == 0:
            data = {
                "train.loss": step.loss,
                "train.top1": step.top1,
                "train.top5": step.top5,
                "train.lr": step.learning_rate,
                "train.compute_ips": step.images / step.compute_s if step.compute_s else 0.0,
                "train.total_ips": step.images_per_s,
                "train.data_time": step.data_s,
                "train.compute_time": step.compute_s,
            }
            self._log(data, Epoch=step.epoch - 1, Iteration=step.epoch_step - 1)

    def on_epoch(self, epoch: Epoch) -> None:
        """Write the means over the epoch, and its validation."""
        data = {
            "train.loss": epoch.loss,
            "train.top1": epoch.train_top1,
            "val.top1": epoch.val_top1,
            "val.top5": epoch.val_top5,
            "val.loss": epoch.val_loss,
            "train.total_ips": epoch.images_per_s,
        }
        self._log(data, Epoch=epoch.epoch - 1)

    def close(self) -> None:
        """Close both files."""
        self.text.close()
        self.json.close()

    def _log(self, data: Mapping[str, float | None], **step: int) -> None:
        values = {name: 100 * v if METRICS[name][0] == "%" else v for name, v in data.items() if v is not None}
        self._write_json("LOG", {"step": list(step.values()), "data": values})
        where = "".join(f"{name}: {number} " for name, number in step.items())
        texts = (f"{name} : {format(v, METRICS[name][1][1:])} {METRICS[name][0]}" for name, v in values.items())
        self.text.write(f"DLL {self.now()} - {where} {' '.join(texts)}")

    def _write_json(self, kind: str, facts: Mapping[str, Any]) -> None:
        now = self.now()
        times = {"timestamp": now.timestamp(), "datetime": now, "elapsedtime": (now - self.started).total_seconds()}
        times_as_text = {name: str(value) for name, value in times.items()}
        self.json.write(f"DLLL {json.dumps({**times_as_text, 'type': kind, **facts})}")
