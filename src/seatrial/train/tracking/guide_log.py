"""The logs of the training guide's scripts: `train_N.log`, and `{CaseName}.log`, which they extract from it.

`train_N.log`, N the number of the device, has the lines that pytorch/examples' main.py and the guide's scripts print.
The figures of the second file are read out of the first as the scripts' grep and awk do it, so what they would find
there is what it holds (Ascend/ModelZoo-PyTorch, ResNet50_for_PyTorch/test).
"""

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seatrial.errors import RefusedFile
from seatrial.foreign.files import read_text
from seatrial.store.files import write_text
from seatrial.store.training import Epoch, TrainingRecord, Validation
from seatrial.train.tracking.events import Listener, Step
from seatrial.train.tracking.line_file import LineFile

FIRST = 10
"""Steps of an epoch that the guide's averages leave out, of few steps half; they are printed at any `print_freq`."""
NETWORKS: Mapping[str, tuple[str, str]] = {"resnet50": ("ResNet50_for_PyTorch", "ResNet50_ID0095_for_PyTorch")}
"""What the scripts call a card's network on one device, and on several; others have the card's name."""
_FPS = re.compile(r"FPS@all (\d+\.\d+)$")
"""The rate in such a line: awk's field 7, or 11 where several devices train and the line begins with the device."""
COMPILED_IN = 2
"""Steps whose time is the script's CompileTime."""

Purpose = Literal["train", "perf", "eval"]


def name_log(device: str) -> str:
    """The name of the log of a device, such as `cuda:1`; one without a number is the first."""
    number = device.partition(":")[2]
    return f"train_{number if number.isdecimal() else 0}.log"


class GuideLog(Listener):
    """Writes `train_N.log` of a training."""

    def __init__(self, folder: Path, device: str, processes: int, batch_size: int, print_freq: int) -> None:
        self.file = LineFile(folder / name_log(device))
        self.batch_size, self.print_freq = batch_size, print_freq
        self.prefix = _name_device(device) if processes > 1 else ""
        self.steps: list[Step] = []
        """Of this epoch."""

    def on_step(self, step: Step) -> None:
        """Write the first steps of an epoch, and every `print_freq`-th."""
        if self.steps and self.steps[-1].epoch != step.epoch:
            self.steps = []
        self.steps.append(step)
        number = step.epoch_step - 1
        if number <= FIRST or number % self.print_freq == 0:
            self.file.write(_write_step(self.steps, number))

    def on_epoch(self, epoch: Epoch) -> None:
        """Write the rate of the epoch's steps, and the accuracy on the held-out images."""
        timed = self.steps[min(FIRST, len(self.steps) // 2) :]
        if timed:
            seconds = sum(step.seconds for step in timed)
            rate = sum(step.images for step in timed) / seconds
            mean = seconds / len(timed)
            self.file.write(f"{self.prefix}batch_size: {self.batch_size} Time: {mean:.3f} * FPS@all {rate:.3f}")
        if epoch.val_top1 is not None:
            average = f"{self.prefix}[AVG-ACC]" if self.prefix else ""
            self.file.write(_write_accuracy(average, epoch.val_top1, epoch.val_top5))
        self.steps = []

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _name_device(device: str) -> str:
    kind, _, number = device.partition(":")
    return f"[{kind} id: {number or 0} ] "


def _write_step(steps: Sequence[Step], number: int) -> str:
    """A step's line: each figure of this step, and in brackets its mean over the epoch so far."""
    last = steps[-1]
    meters = [
        _write_meter("Time", "6.3f", [step.seconds for step in steps]),
        _write_meter("Data", "6.3f", [step.data_s for step in steps]),
        _write_meter("Loss", ".4e", [step.loss for step in steps]),
    ]
    for name, hits in (("Acc@1", [s.top1 for s in steps]), ("Acc@5", [s.top5 for s in steps])):
        # Where images are mixed, none is right or wrong.
        known = [100 * share for share in hits if share is not None]
        meters += [_write_meter(name, "6.2f", known)] if known else []
    total = str(last.epoch_steps)
    return "\t".join([f"Epoch: [{last.epoch - 1}][{number:>{len(total)}}/{total}]", *meters])


def _write_meter(name: str, form: str, values: Sequence[float]) -> str:
    return f"{name} {values[-1]:{form}} ({sum(values) / len(values):{form}})"


def _write_accuracy(prefix: str, top1: float, top5: float | None) -> str:
    return f"{prefix} * Acc@1 {100 * top1:.3f}" + ("" if top5 is None else f" Acc@5 {100 * top5:.3f}")


def write_validation(validation: Validation, folder: Path, device: str, batch_size: int) -> None:
    """Append a validation alone to `train_N.log`: a line that stands for all of its batches, and the accuracy.

    Its Time is that of `batch_size` images in the mean, so that the script gets images/s from it.
    """
    per_batch = batch_size * validation.seconds / validation.images
    batches = str(-(-validation.images // batch_size))
    meters = [("Time", "6.3f", per_batch), ("Loss", ".4e", validation.loss)]
    meters += [("Acc@1", "6.2f", 100 * validation.top1), ("Acc@5", "6.2f", 100 * validation.top5)]
    file = LineFile(folder / name_log(device))
    line = "\t".join(_write_meter(name, form, [value]) for name, form, value in meters)
    file.write(f"Test: [{batches}/{batches}]\t{line}")
    file.write(_write_accuracy("", validation.top1, validation.top5))
    file.close()


@dataclass(frozen=True, slots=True)
class Case:
    """What a script's results are of."""

    network: str
    ranks: int
    batch_size: int
    """Images of a step, over all processes."""
    purpose: Purpose
    is_fp32: bool

    @classmethod
    def of(cls, record: TrainingRecord, purpose: Purpose) -> "Case":
        """That of a training's record."""
        one, many = NETWORKS.get(record.recipe, (f"{record.recipe}_for_PyTorch",) * 2)
        is_fp32 = record.precision == "fp32" and purpose != "eval"
        network = one if record.world_size == 1 else many
        return cls(network, record.world_size, record.settings["batch_size"], purpose, is_fp32)

    @property
    def name(self) -> str:
        """The script's CaseName."""
        words = {"train": "full" if self.ranks == 1 else "acc"}.get(self.purpose, self.purpose)
        fp32 = "_fp32" if self.is_fp32 else ""
        return f"{self.network}_bs{self.batch_size}_{self.ranks}p{fp32}_{words}"

    @property
    def file_name(self) -> str:
        """Of its log."""
        return f"{self.name}.log"


def extract_figures(log: str, case: Case) -> dict[str, str]:
    """What the scripts' grep and awk find in `train_N.log`, by the keys of `{CaseName}.log`; empty where nothing is."""
    lines = log.splitlines()
    accuracies = [line.split("Acc@1")[-1].split() for line in lines if "* Acc@1" in line]
    accuracy = next(iter(accuracies[-1]), "") if accuracies else ""
    if case.purpose == "eval":
        return {"TrainAccuracy": accuracy, "ActualLoss": _find_last_loss([line for line in lines if "Test:" in line])}
    steps = [line for line in lines if "Epoch:" in line and "Test" not in line]
    rates = [float(found[1]) for line in lines if (found := _FPS.search(line))]
    total = 0.0
    for rate in rates:  # One after the other, as awk adds.
        total += rate
    fps = f"{total / len(rates):.3f}" if rates else ""
    figures = {
        "ActualFPS": fps,
        "TrainingTime": f"{case.batch_size * 1000 / float(fps):.2f}" if fps and float(fps) else "",
        "TrainAccuracy": accuracy,
        "ActualLoss": _find_last_loss(steps),
    }
    if case.purpose == "perf" and case.ranks == 1:
        figures["CompileTime"] = f"{sum(map(_find_time, steps[:COMPILED_IN])):g}"
    return figures


def _find_last_loss(lines: Sequence[str]) -> str:
    return next(iter(lines[-1].split("Loss")[-1].split()), "") if lines else ""


def _find_time(line: str) -> float:
    return float(line.split("Time")[-1].split()[0])


def write_case(case: Case, folder: Path, device: str, seconds: float) -> None:
    """Write `{CaseName}.log` from `train_N.log` beside it.

    Args:
        seconds: from the start of the work to its end.

    Raises:
        StorageError: it cannot be written.
    """
    figures = extract_figures((folder / name_log(device)).read_text(encoding="utf-8"), case)
    compile_time = figures.pop("CompileTime", None)
    facts = {
        "Network": case.network,
        "RankSize": case.ranks,
        "BatchSize": case.batch_size,
        "DeviceType": platform.machine(),
        "CaseName": case.name,
        **figures,
        "E2ETrainingTime": int(seconds),
        **({} if compile_time is None else {"CompileTime": compile_time}),
    }
    write_text(folder / case.file_name, "".join(f"{key} = {value}\n" for key, value in facts.items()))


def read_case(path: Path) -> dict[str, str]:
    """The values of a `{CaseName}.log` by their keys, the scripts' or ours.

    Raises:
        RefusedFile: it is none.
    """
    text = read_text(path, errors="replace")
    facts = dict(re.findall(r"^(\w+) = ?(.*?)\s*$", text, re.MULTILINE))
    if not {"Network", "RankSize", "BatchSize", "CaseName"} <= facts.keys():
        raise RefusedFile(f"{path} is no log of the training guide", "give a {CaseName}.log, as its scripts write it")
    return facts
