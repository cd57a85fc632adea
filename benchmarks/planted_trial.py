"""The trial that `planted.py` plants faults in: digits in red or blue ink, and a small network that is right on them.

The network is trained, as only what is well above chance can lose by a fault; half of what it must tell apart is
colour, so that swapped channels cost accuracy too.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

DIGITS = 5
CLASSES = 2 * DIGITS
"""Twice the digit, plus one where the ink is blue."""
INKS = ((200, 40, 40), (40, 40, 200))
HELD_OUT = 0.3
SEED = 5
CARD = """\
name = "inks"
title = "A small ResNet on digits in red and blue ink"
[network]
name = "test_resnet"
classes = 10
[[preprocess]]
step = "resize"
short_side = 56
[[preprocess]]
step = "center_crop"
size = [48, 48]
[[preprocess]]
step = "to_float"
[[preprocess]]
step = "normalise"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[gates]
reference_drop_pp = 3.0
[train]
epochs = 8
batch_size = 16
learning_rate = 0.05
warmup_epochs = 1
min_scale = 0.7
flip = false
"""
REFERENCE = '[reference]\ntop1 = {top1:.4f}\nsource = "the training of this very checkpoint"\n'


@dataclass(frozen=True)
class Ran:
    """What one command gave."""

    code: int
    stdout: str
    stderr: str

    @property
    def reason(self) -> str:
        """An error's line, else that of the first gate that is not met, else the last line."""
        told = [line.removeprefix("seatrial: ") for line in self.stderr.splitlines() if line.startswith("seatrial: ")]
        lines = [line.strip() for line in self.stdout.splitlines() if line.strip()]
        unmet = [line for line in lines if line.startswith(("FAIL ", "INCONCLUSIVE "))]
        return (told[-1:] or unmet[:1] or lines[-1:] or [""])[0]


@dataclass(frozen=True)
class Cli:
    """The command line of one source tree, each command a process of its own."""

    source: Path
    """The folder that holds the package `seatrial`; of this tree if `fork_all`."""
    fork_all: bool = False
    """What a command starts is forked too, and nothing is measured in earnest."""

    @cached_property
    def _server(self) -> subprocess.Popen[str]:
        """Forks the processes; ends with this one."""
        there = {**os.environ, "PYTHONPATH": str(self.source)}
        command = [sys.executable, str(Path(__file__).with_name("planted_server.py"))]
        command += ["--fork-all"] if self.fork_all else []
        return subprocess.Popen(command, env=there, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self) -> None:
        """End what forks the processes, if anything was asked of it."""
        server = self.__dict__.pop("_server", None)
        if server is not None:
            server.stdin.close()
            server.wait()
            server.stdout.close()

    def _begin(self, words: Sequence[object], folder: str, alone: bool = False) -> int:
        """Start a command that writes to files `stdout` and `stderr` of a folder; its process.

        Args:
            alone: what it starts is its child and ends with it, as with users.
        """
        asked = {"words": [str(word) for word in words], "alone": alone}
        asked |= {name: f"{folder}/{name}" for name in ("stdout", "stderr")}
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        return self._hear()

    def _hear(self) -> int:
        """A process's id, then its exit code once it ended."""
        assert self._server.stdout is not None
        return int(self._server.stdout.readline())

    def run(self, *words: object) -> Ran:
        """What a command gives."""
        with TemporaryDirectory() as folder:
            self._begin(words, folder)
            code = self._hear()
            return Ran(code, *((Path(folder) / name).read_text() for name in ("stdout", "stderr")))

    def must(self, *words: object) -> Ran:
        """What a command gives that has to succeed for a fault to be planted at all.

        Raises:
            RuntimeError: it did not.
        """
        ran = self.run(*words)
        if ran.code:
            raise RuntimeError(f"{' '.join(map(str, words))}: {ran.reason}")
        return ran

    def kill_at(self, stage: str, *words: object) -> None:
        """Kill a command as soon as it tells of a stage; one that leaves before that is left alone."""
        with TemporaryDirectory() as folder, suppress(ProcessLookupError):
            process = self._begin(words, folder, alone=True)
            told = Path(folder) / "stderr"
            while not (told.exists() and any(line.split()[:1] == [stage] for line in told.read_text().splitlines())):
                os.kill(process, 0)
                time.sleep(0.005)
            os.kill(process, signal.SIGKILL)
        self._hear()


@dataclass(frozen=True)
class Trial:
    """What a `seatrial run` needs; a fault replaces a part of it."""

    card: Path
    checkpoint: Path
    images: Path
    labels: Path | None
    train: Path
    """Class folders."""

    def but(self, **changes: Path | None) -> "Trial":
        """The same trial with something else in the place of a part."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def run_words(self, output: Path, engines: str = "onnxruntime") -> list[str]:
        """The words of a `seatrial run` that measures as little as it may."""
        words = ["run", self.card, "--checkpoint", self.checkpoint, "--images", self.images, "--output", output]
        words += [] if self.labels is None else ["--labels", self.labels]
        words += ["--engines", engines, "--batch-size", "1", "--bench-duration", "0.01", "--bench-samples", "2"]
        return [str(word) for word in words]

    def read_labels(self) -> dict[str, int]:
        """Classes by file name."""
        assert self.labels is not None
        lines = (line.split() for line in self.labels.read_text().splitlines())
        return {name: int(label) for name, label in lines}

    def edit_card(self, output: Path, change: Callable[[str], str]) -> Path:
        """The card with something else in it."""
        text = self.card.read_text()
        changed = change(text)
        if changed == text:
            raise RuntimeError(f"{output.name}: the card stayed as it was")
        output.write_text(changed)
        return output


def make_trial(folder: Path, cli: Cli) -> Trial:
    """Draw the digits and train on them, or find both done."""
    card, labels = folder / "inks.toml", folder / "val_label.txt"
    if not labels.exists():
        _draw_set(folder)
    first = folder / "unjudged.toml"
    first.write_text(CARD)
    if not (folder / "training" / "train.json").exists():
        cli.must("train", first, "--data", folder, "--output", folder / "training", "--device", "cpu", "--amp", "off")
    trial = Trial(card, next((folder / "training").glob("*.safetensors")), folder / "val", labels, folder / "train")
    trained = json.loads((folder / "training" / "train.json").read_text())
    card.write_text(CARD + REFERENCE.format(top1=trained["validation"]["top1"]))
    return trial


def _draw_set(folder: Path) -> None:
    from sklearn.datasets import load_digits

    digits, kinds = load_digits(n_class=DIGITS, return_X_y=True)
    rng = np.random.default_rng(SEED)
    held_out = rng.permutation(len(digits)) < HELD_OUT * len(digits)
    (folder / "val").mkdir(parents=True, exist_ok=True)
    lines = []
    for index, (digit, kind) in enumerate(zip(digits, kinds, strict=True)):
        blue = int(rng.integers(2))
        label, name = 2 * int(kind) + blue, f"digit_{index:04d}.jpg"
        place = folder / "val" if held_out[index] else folder / "train" / f"{label}"
        place.mkdir(parents=True, exist_ok=True)
        draw_digit(digit, INKS[blue], rng).save(place / name, quality=90)
        lines += [f"{name} {label}\n"] if held_out[index] else []
    (folder / "val_label.txt").write_text("".join(lines))


def draw_digit(digit: np.ndarray, ink: tuple[int, int, int], rng: np.random.Generator) -> Image.Image:
    """One 8×8 digit (values 0..16) in an ink of about this colour on light paper, 60 to 110 pixels wide and high."""
    size = (int(rng.integers(60, 111)), int(rng.integers(60, 111)))
    shape = Image.fromarray((digit.reshape(8, 8) * (255 / 16)).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    cover = np.asarray(shape, dtype=float)[..., None] / 255
    paper = rng.uniform(170, 255, 3)
    picture = paper * (1 - cover) + (np.array(ink) + rng.normal(0, 25, 3)) * cover
    grainy = picture + rng.normal(0, 6, picture.shape)
    return Image.fromarray(grainy.clip(0, 255).astype(np.uint8))
