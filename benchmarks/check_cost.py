"""What the checks of an evaluation cost: two source trees evaluate the same images with the same network, in turns.

    python benchmarks/check_cost.py --before SRC --folder WORK [--after SRC] [--images 1024] [--rounds 5]

Each tree exports, quantises and compiles for itself, as one need not read what the other stores. A round times the
whole command of both, its CPU time (user and system) and the wall time of the evaluation proper; what is printed is
the median of the rounds' ratios. Leaves with 1 if the CPU time of one network grows by more than 3 %.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from evaluate import BATCH, STREAMS, centre_weights
from networks import HELD_OUT, OPSET, make_checkpoint, make_pictures
from planted_trial import Cli
from preprocess import make_jpegs

from seatrial.engines import get_engine
from seatrial.machine.environment import read_environment

LIMIT = 1.03
PRECISIONS = {"resnet50": "bf16", "spnasnet_100": "int8"}
"""Of the engine by network; fp32 where this CPU has no fast bf16."""


@dataclass(frozen=True)
class Cost:
    """What one command took, in seconds."""

    wall: float
    cpu: float
    """User and system, of all its threads and children."""
    evaluation: float
    """From the first file read to the last prediction."""


@dataclass(frozen=True)
class Side:
    """One source tree and what it built."""

    cli: Cli
    folder: Path

    def build(self, name: str, precision: str, work: Path) -> Path:
        """The engine of a network, or find it built."""
        graph, engine = self.folder / f"{name}.onnx", self.folder / f"{name}-{precision}"
        pictures = make_pictures(work / "pictures")
        words = ["--checkpoint", make_checkpoint(name, work), "--opset", OPSET]
        self.cli.must("export", name_card(name, work), *words, "--output", graph)
        if precision == "int8":
            listed, int8 = work / "calibration.txt", graph.with_name(f"{name}-int8.onnx")
            listed.write_text("".join(f"{path.relative_to(work)}\n" for path in pictures[HELD_OUT:]))
            self.cli.must("quantize", graph, "--calibration", listed, "--output", int8)
            graph = int8
        words = ["--engine", "openvino", "--precision", precision, "--batch-size", BATCH]
        self.cli.must("compile", graph, *words, "--output", engine)
        return engine

    def evaluate(self, engine: Path, images: Path, labels: Path) -> Cost:
        """One evaluation from the start, in a process of its own."""
        found = self.folder / "found"
        shutil.rmtree(found, ignore_errors=True)
        words = ["evaluate", engine, "--images", images, "--labels", labels, "--output", found]
        words += ["--batch-size", BATCH, "--streams", STREAMS]
        there, quiet = {**os.environ, "PYTHONPATH": str(self.cli.source)}, subprocess.DEVNULL
        start = time.perf_counter()
        command = [sys.executable, "-m", "seatrial", *map(str, words)]
        process = subprocess.Popen(command, env=there, stdout=quiet, stderr=quiet)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{self.cli.source}: evaluate left with {process.returncode}")
        pace = json.loads((found / f"{engine.name}.throughput.json").read_text())
        return Cost(wall, used.ru_utime + used.ru_stime, pace["wall_s"])


def name_card(name: str, work: Path) -> Path:
    """The network's card without its published weights, which these are not."""
    from importlib.resources import files

    from planted_sound import loosen_card

    card = work / f"{name}.toml"
    card.write_text(loosen_card((files("seatrial.recipes") / "cards" / f"{name}.toml").read_text()))
    return card


def make_labels(side: Side, engine: Path, images: Path, labels: Path) -> None:
    """Label each image with what the engine predicts, so that nothing about its accuracy is suspicious."""
    if labels.exists():
        return
    blank = labels.with_name("blank.txt")
    blank.write_text("".join(f"{path.name} {index % 1000}\n" for index, path in enumerate(sorted(images.iterdir()))))
    found = side.folder / "labelling"
    words = ["evaluate", engine, "--images", images, "--labels", blank, "--output", found, "--batch-size", BATCH]
    side.cli.run(*words)
    table = pq.read_table(found / f"{engine.name}.parquet", columns=["id", "classes"])
    rows = zip(table["id"].to_pylist(), table["classes"].to_pylist(), strict=True)
    labels.write_text("".join(f"{name} {classes[0]}\n" for name, classes in rows))


def compare(name: str, precision: str, sides: tuple[Side, Side], asked: argparse.Namespace) -> float:
    """Time both sides in turns and print what came of it; the ratio of CPU time."""
    work, images = asked.folder, asked.folder / f"jpegs-{asked.images}"
    centre_weights(name, work)
    engines = [side.build(name, precision, work) for side in sides]
    labels = work / f"{name}-{asked.images}.txt"
    make_labels(sides[0], engines[0], images, labels)
    rounds: list[list[Cost]] = []
    for index in range(asked.rounds):
        order = (0, 1) if index % 2 == 0 else (1, 0)
        costs = {which: sides[which].evaluate(engines[which], images, labels) for which in order}
        rounds.append([costs[0], costs[1]])
    print(f"{name} {precision}, openvino, {asked.images} JPEG files, medians of {asked.rounds} rounds")
    ratios = {}
    for what in ("wall", "cpu", "evaluation"):
        pairs = [tuple(getattr(cost, what) for cost in pair) for pair in rounds]
        ratios[what] = statistics.median(after / before for before, after in pairs)
        before, after = (statistics.median(column) for column in zip(*pairs, strict=True))
        each = " ".join(f"{b / a:.3f}" for a, b in pairs)
        print(f"  {what:<11}{before:8.2f} s before, {after:8.2f} s after: {ratios[what]:.3f} ({each})", flush=True)
    return ratios["cpu"]


def main(words: list[str] | None = None) -> int:
    """Print the ratios; 1 if one is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="folder that holds the package")
    parser.add_argument("--after", type=Path, default=Path(__file__).parents[1] / "src")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--networks", default=",".join(PRECISIONS))
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args(words)
    asked.folder = asked.folder.resolve()
    if not (asked.folder / f"jpegs-{asked.images}").exists():
        make_jpegs(asked.folder / f"jpegs-{asked.images}", asked.images, distinct=asked.images)
    sides = tuple(Side(Cli(getattr(asked, n).resolve()), asked.folder / n) for n in ("before", "after"))
    environment = read_environment()
    print(f"{environment.cpu}, {environment.cores} cores, {', '.join(environment.cpu_flags)}", flush=True)
    has_bf16 = "bf16" in get_engine("openvino").probe().precisions
    worst = 0.0
    for name in asked.networks.split(","):
        wanted = PRECISIONS.get(name, "fp32")
        precision = "fp32" if wanted == "bf16" and not has_bf16 else wanted
        worst = max(worst, compare(name, precision, sides, asked))
    return 1 if worst > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
