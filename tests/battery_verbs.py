"""Every verb that writes files, as a command on small inputs, for attacks on what it writes and reads.

A command runs in a folder that has `input`, a link to what `link_inputs` gathered, and writes below `out`.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from golden_logs import LOGS
from seatrial.cli import run_cli
from tiny_trial import TinyTrial

_IMAGES = ("--images", "input/val")
_LABELED = (*_IMAGES, "--labels", "input/val_label.txt")
_BRIEF = ("--amp", "off", "--checkpoint-every", "1", "--workers", "1")
_SPEED = ("--output", "out/speed.json")
_SHORT = ("--batch-size", "1", "--bench-duration", "0.01", "--bench-samples", "2")
_TRIAL = (*_LABELED, "--engines", "onnxruntime", *_SHORT, "--output")


@dataclass(frozen=True)
class Verb:
    """A command."""

    words: tuple[str, ...]
    run: bool = False
    """It works in a run folder, of which it gets a copy as `out/run`."""
    quiet: bool = True
    """It has the option `-q`."""

    inconclusive: bool = False
    """What cannot be done for want of room it leaves out and says so, and is inconclusive."""

    def prepare(self, folder: Path, inputs: Path) -> None:
        """Make the folder that the command runs in."""
        folder.mkdir(parents=True)
        (folder / "input").symlink_to(inputs)
        (folder / "out").mkdir()
        if self.run:
            shutil.copytree(inputs / "run", folder / "out" / "run", symlinks=True)


SIMPLE = ("preprocess", "pack", "info", "import-log")
"""They read no more than a trial."""
VERBS: Mapping[str, Verb] = {
    "preprocess": Verb(("preprocess", "input/tiny.toml", "input/val", "out/bins")),
    "export": Verb(
        ("export", "input/tiny.toml", "--checkpoint", "input/tiny.pth", *_IMAGES, "--output", "out/model.onnx")
    ),
    "simplify": Verb(("simplify", "input/model.onnx", "out/simple.onnx"), quiet=False),
    "quantize": Verb(
        ("quantize", "input/model.onnx", "--calibration", "input/calibration", "--output", "out/int8.onnx")
    ),
    "compile": Verb(("compile", "input/model.onnx", "--engine", "onnxruntime", "--output", "out/engine")),
    "infer": Verb(("infer", "input/engine", "--input", "input/val", "--output", "out", "--output-dirname", "logits")),
    "evaluate": Verb(("evaluate", "input/engine", *_LABELED, "--output", "out/accuracy")),
    "score": Verb(("score", "input/logits", "input/val_label.txt", "out", "result.json")),
    "pack": Verb(("data", "pack", "input/tiny.toml", "input/val", *_LABELED[2:], "--output", "out/val.pack")),
    "info": Verb(("data", "info", "input/val", "--output", "out/val.info"), quiet=False),
    "import-log": Verb(("import-log", "trtexec", "input/trtexec.log", "--device", "T4", "--output", "out/T4.json")),
    "junit": Verb(("report", "input/run", "--format", "junit", "--output", "out/junit.xml")),
    "report": Verb(("report", "out/run"), run=True),
    "diagnose": Verb(("diagnose", "out/run"), run=True, inconclusive=True),
    "package": Verb(("package", "input/run", "--engine", "onnxruntime", "--output", "out/bundle")),
    "board": Verb(("board", "input/run", "--output", "out/board.html")),
    "train": Verb(("train", "input/tiny.toml", "--data", "input/data", *_BRIEF, "--output", "out/trained")),
    "choose": Verb(("choose", "out/run", "--goal", "size", "--engines", "onnxruntime"), run=True),
    "bench": Verb(
        ("bench", "input/engine", "--batch-size", "1", "--duration", "0.01", "--min-samples", "2", *_SPEED),
    ),
    "import": Verb(("run", "input/model.onnx", "--like", "input/tiny.toml", *_TRIAL, "out/imported")),
    "run": Verb(("run", "input/tiny.toml", "--checkpoint", "input/tiny.pth", *_TRIAL, "out/trial")),
}


def link_trial(folder: Path, trial: TinyTrial) -> None:
    """What is enough for the verbs of `SIMPLE`."""
    for path in trial.folder.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "calibration").symlink_to(trial.folder / "train")
    (folder / "data").mkdir()
    for part in ("train", "val"):
        (folder / "data" / part).symlink_to(trial.folder / "train")
    shutil.copy(LOGS / "trtexec-11.1.log", folder / "trtexec.log")


def link_inputs(folder: Path, trial: TinyTrial, engines: Path, run: Path) -> None:
    """What all verbs read: a graph, an engine, its logits and a run besides."""
    link_trial(folder, trial)
    for path in engines.glob("model.onnx*"):
        (folder / path.name).symlink_to(path)
    (folder / "engine").symlink_to(engines / "engines" / "onnxruntime")
    (folder / "run").symlink_to(run)
    images = str(trial.images)
    words = ["infer", f"{folder}/engine", "--input", images, "--output", str(folder), "--output-dirname", "logits"]
    assert run_cli([*words, "-q"]) == 0


def run_verb(name: str, folder: Path) -> int:
    """Run a command in its folder, and return its exit code."""
    os.chdir(folder)
    verb = VERBS[name]
    return run_cli([*verb.words, "-q"] if verb.quiet else verb.words)


def list_files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes, links and folders with none."""
    found = {}
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(root, name)
            found[str(path.relative_to(folder))] = path.read_bytes() if path.is_file() else b""
    return found
