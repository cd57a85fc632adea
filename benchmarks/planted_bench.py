"""What a planted fault works with: copies of a sound run's folder and images, and what a command says about them."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from planted_trial import Cli, Ran, Trial

sys.path.append(str(Path(__file__).parents[1] / "tests"))

OUTCOMES = ("PASS", "FAIL", "INCONCLUSIVE")
GATE_PP = "3"


@dataclass(frozen=True)
class Tried:
    """What came of a command after a fault was planted."""

    code: int
    outcome: str
    """A verdict, or what happened in the place of one."""
    reason: str
    silent: bool
    """Nothing was said against wrong figures."""

    @classmethod
    def of(cls, ran: Ran, wrong: bool = True) -> "Tried":
        """What a command said: its verdict is the first word of a line.

        Args:
            wrong: whether what it gives without complaint is wrong; else the fault was mended on the way.
        """
        words = [line.split()[0].rstrip(":") for line in ran.stdout.splitlines() if re.match(r"[A-Z]+: ", line)]
        verdict = next((word for word in reversed(words) if word in OUTCOMES), None)
        outcome = verdict or ("figures" if ran.code == 0 else "error")
        silent = wrong and ran.code == 0 and outcome in ("PASS", "figures")
        return cls(ran.code, outcome, ran.reason, silent)


@dataclass(frozen=True)
class Bench:
    """Where one fault is planted."""

    cli: Cli
    trial: Trial
    sound: Path
    """The finished run of the trial; never changed."""
    floats: Path
    """Engines `torch` and `onnxruntime` that take floats."""
    place: Path
    """A fresh folder for this fault."""

    def copy_run(self) -> Path:
        """A copy of the sound run to spoil."""
        return shutil.copytree(self.sound, self.place / "run")

    def copy_images(self) -> Path:
        """A copy of the images to spoil, with their times of change."""
        return shutil.copytree(self.trial.images, self.place / "val")

    def copy_into_classes(self, name: Callable[[int], str] = str) -> Path:
        """The images in class folders of these names."""
        root = self.place / "classes"
        for image, label in self.trial.read_labels().items():
            folder = root / name(label)
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.trial.images / image, folder / image)
        return root

    def run(self, trial: Trial, run: Path | None = None, engines: str = "onnxruntime") -> Tried:
        """`seatrial run` of a spoilt trial, in a fresh folder unless another is given."""
        return Tried.of(self.cli.run(*trial.run_words(run or self.place / "run", engines)))

    def report(self, run: Path) -> Tried:
        """`seatrial report` of a spoilt folder: what its report says first."""
        ran = self.cli.run("report", run)
        if ran.code:
            return Tried.of(ran)
        bold = re.search(r"^\*\*(.*)\*\*$", (run / "report.md").read_text(), re.MULTILINE)
        return Tried.of(Ran(0, bold[1] if bold else "", ""))

    def evaluate(self, engine: Path, *more: object, trial: Trial | None = None) -> Ran:
        """`seatrial evaluate` of an engine; its records go to `place/found`."""
        trial = trial or self.trial
        words = ["evaluate", engine, "--images", trial.images, "--output", self.place / "found", *more]
        return self.cli.run(*words, *(() if trial.labels is None else ("--labels", trial.labels)))

    def judge(self, engine: Path, reference: Path, *more: object, trial: Trial | None = None) -> Ran:
        """`seatrial evaluate` with a gate on the drop against stored predictions."""
        return self.evaluate(engine, "--reference", reference, "--gate-pp", GATE_PP, *more, trial=trial)

    def judge_on_both(self, images: Path, labels: Path | None = None) -> Tried:
        """Both engines that take floats on the same spoilt bins, the second judged against the first."""
        trial = self.trial.but(images=images, labels=labels or self.trial.labels)
        first = self.evaluate(self.floats / "torch", trial=trial)
        if first.code:
            return Tried.of(first)
        return Tried.of(self.judge(self.floats / "onnxruntime", self.place / "found" / "torch.parquet", trial=trial))

    def compile(self, graph: Path, card: Path, engine: str, precision: str, name: str) -> Ran:
        """A foreign graph compiled by what a card says of it, into `place/NAME`."""
        words = ["compile", graph, "--recipe", card, "--engine", engine, "--precision", precision]
        return self.cli.run(*words, "--output", self.place / name)


@dataclass(frozen=True)
class Fault:
    """Something to plant."""

    name: str
    command: str
    """What is asked about it, alone and without `diagnose`."""
    plant: Callable[[Bench], Tried]
    sound: bool = False
    """Nothing is wrong: it must pass."""


def prepare_bench(cli: Cli, trial: Trial, folder: Path) -> None:
    """Run the sound trial and build the engines that take floats, in `sound` and `floats` of a folder."""
    sound, floats = folder / "sound", folder / "floats"
    cli.must(*trial.run_words(sound, "onnxruntime,openvino"))
    graph = floats / "model.onnx"
    cli.must("export", trial.card, "--checkpoint", trial.checkpoint, "--output", graph, "--no-fuse-preprocess")
    for engine in ("torch", "onnxruntime"):
        cli.must("compile", graph, "--engine", engine, "--output", floats / engine)


def edit_json(path: Path, change: Callable[[dict[str, Any]], object], seal: bool = False) -> None:
    """Let `change` alter a stored record; with `seal` a checksum of its own content is made to match again."""
    if seal:
        from sealed import edit_json as edit

        edit(path, change)
        return
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def read_scores(predictions: Path) -> np.ndarray:
    """The best scores of each image, (images, 5)."""
    return np.array(pq.read_table(predictions, columns=["scores"])["scores"].to_pylist())


def differs(predictions: Path, sound: Path) -> bool:
    """Whether scores lie further from the sound run's than another machine's rounding would take them."""
    if not predictions.is_file():
        return True
    scores, wanted = read_scores(predictions), read_scores(sound)
    return scores.shape != wanted.shape or bool(np.abs(scores - wanted).max() > 1e-3)
