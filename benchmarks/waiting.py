"""How long each verb lets its user wait: to the first line, to the end, and in processor time.

    python benchmarks/waiting.py --folder WORK [VERB ...] [--repeats 3] [--against TREE/src]

WORK gets a demo run (made at the first call, some minutes) and what is derived from it. Each verb is then run in turns,
`--repeats` times after one that warms the file cache; medians are printed. The first line is the first on stdout or
stderr, whichever is earlier. Processor time is user and system of the command and of all processes that it started and
waited for; where others use the machine it is the figure to go by. `--against` runs the same verbs of another tree in
turns with these.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src"
ONE = ("--duration", "1", "--min-samples", "10", "--processes", "1", "--batch-size", "1")


@dataclass(frozen=True)
class Figures:
    """What one call cost, in seconds."""

    first_line: float
    wall: float
    processor: float


@dataclass(frozen=True)
class Place:
    """Where things lie."""

    demo: Path
    """A finished run."""
    out: Path
    """What a verb writes; empty before each call."""

    @property
    def card(self) -> str:
        return str(self.demo / "data" / "demo.toml")

    @property
    def images(self) -> tuple[str, ...]:
        return "--images", str(self.demo / "data" / "val")

    @property
    def labelled(self) -> tuple[str, ...]:
        return *self.images, "--labels", str(self.demo / "data" / "val_label.txt")

    def engine(self, name: str) -> str:
        return str(self.demo / "engines" / name)

    def output(self, name: str) -> tuple[str, str]:
        return "--output", str(self.out / name)


VERBS: Mapping[str, Callable[[Place], Sequence[str]]] = {
    "--version": lambda p: ["--version"],
    "--help": lambda p: ["--help"],
    "run --help": lambda p: ["run", "--help"],
    "doctor": lambda p: ["doctor"],
    "recipes": lambda p: ["recipes"],
    "recipes show": lambda p: ["recipes", "show", p.card],
    "recipes check": lambda p: ["recipes", "check", "timm:resnet50.a1_in1k"],
    "data make-demo": lambda p: ["data", "make-demo", str(p.out / "data")],
    "data check": lambda p: ["data", "check", p.card, *p.labelled],
    "data pack": lambda p: ["data", "pack", p.card, str(p.demo / "data" / "val"), *p.labelled[2:], *p.output("a.pack")],
    "preprocess": lambda p: ["preprocess", p.card, str(p.demo / "data" / "val"), str(p.out / "bins")],
    "train (done)": lambda p: ["train", p.card, "--data", str(p.demo / "data"), "--output", str(p.demo / "train")],
    "export": lambda p: ["export", p.card, "--checkpoint", f"{p.demo}/checkpoint.safetensors", *p.output("a.onnx")],
    "simplify": lambda p: ["simplify", str(p.demo / "model.onnx"), str(p.out / "simple.onnx")],
    "quantize": lambda p: [
        *("quantize", str(p.demo / "model.onnx"), "--calibration", str(p.demo / "data" / "calibration.txt")),
        *p.output("int8.onnx"),
    ],
    "compile onnxruntime": lambda p: [
        *("compile", str(p.demo / "model.onnx"), "--engine", "onnxruntime"),
        *p.output("ort"),
    ],
    "compile openvino": lambda p: [*("compile", str(p.demo / "model.onnx"), "--engine", "openvino"), *p.output("ov")],
    "compile torch": lambda p: [*("compile", str(p.demo / "model.onnx"), "--engine", "torch"), *p.output("torch")],
    "infer": lambda p: ["infer", p.engine("onnxruntime"), "--input", str(p.demo / "data" / "val"), *p.output("logits")],
    "evaluate onnxruntime": lambda p: ["evaluate", p.engine("onnxruntime"), *p.labelled, *p.output("accuracy")],
    "evaluate openvino": lambda p: ["evaluate", p.engine("openvino-bf16"), *p.labelled, *p.output("accuracy")],
    "evaluate torch": lambda p: ["evaluate", p.engine("torch"), *p.labelled, *p.output("accuracy")],
    "evaluate (done)": lambda p: [
        *("evaluate", p.engine("onnxruntime"), *p.labelled, "--output", str(p.out.parent / "accuracy"))
    ],
    "diagnose": lambda p: ["diagnose", str(p.demo)],
    "bench onnxruntime": lambda p: ["bench", p.engine("onnxruntime"), *ONE, *p.output("speed.json")],
    "bench openvino": lambda p: ["bench", p.engine("openvino-bf16"), *ONE, *p.output("speed.json")],
    "bench torch": lambda p: ["bench", p.engine("torch"), *ONE, *p.output("speed.json")],
    "compare": lambda p: ["compare", *(str(p.demo / "evaluation" / f"{n}.parquet") for n in ("torch", "onnxruntime"))],
    "compare runs": lambda p: ["compare", str(p.demo), str(p.demo)],
    "board": lambda p: ["board", str(p.demo.parent)],
    "report": lambda p: ["report", str(p.demo)],
    "package": lambda p: ["package", str(p.demo), "--engine", "onnxruntime", *p.output("bundle")],
    "check-app kit": lambda p: ["check-app", "kit", str(p.demo), *p.output("kit")],
    "compat --list": lambda p: ["compat", "--list"],
    "ui": lambda p: ["ui", str(p.demo.parent), "--no-browser", "--port", "0"],
    "demo (done)": lambda p: ["demo", "--output", str(p.demo)],
}
"""The words of each verb; one that would serve until it is stopped is stopped after its first line."""
SERVING = ("ui",)


def call(words: Sequence[str], source: Path, serves: bool = False) -> Figures:
    """Run `seatrial WORDS` of a tree.

    Raises:
        SystemExit: it fails before any work; a verdict is no failure.
    """
    environment = {**os.environ, "PYTHONPATH": str(source)}
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "seatrial", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        first = process.stdout.readline()
        first_line = time.perf_counter() - began
        if serves:
            process.terminate()
        rest = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3, 7) and not serves:
        raise SystemExit(f"seatrial {' '.join(words)}: exit code {process.returncode}\n{(first + rest).decode()}")
    return Figures(first_line, wall, usage.ru_utime + usage.ru_stime)


def measure(name: str, place: Place, sources: Sequence[Path], repeats: int) -> list[Figures]:
    """Medians of a verb in each tree, whose calls take turns."""
    found: dict[Path, list[Figures]] = {source: [] for source in sources}
    for _ in range(1 + repeats):
        for source in sources:
            shutil.rmtree(place.out, ignore_errors=True)
            place.out.mkdir()
            found[source].append(call(VERBS[name](place), source, name in SERVING))
    return [
        Figures(*(statistics.median(getattr(each, field) for each in figures[1:]) for field in Figures.__annotations__))
        for figures in found.values()
    ]


def main() -> int:
    """Print a line for each verb."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verbs", nargs="*", metavar="VERB", help="default: all")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--against", type=Path)
    asked = parser.parse_args()
    place = Place(asked.folder.resolve() / "runs" / "demo", asked.folder.resolve() / "out")
    place.demo.parent.mkdir(parents=True, exist_ok=True)
    sources = [*([asked.against.resolve()] if asked.against else []), SOURCE]
    if not (place.demo / "verdict.json").exists():
        call(VERBS["demo (done)"](place), SOURCE)
    cells = ["first line", "wall", "processor"]
    header = [*(f"{cell}, before" for cell in cells if asked.against), *cells]
    print(f"medians of {asked.repeats} calls in turns, s; load of the machine at the start {os.getloadavg()[0]:.1f}")
    print(f"{'seatrial':<22}" + "".join(f"{cell:>20}" for cell in header))
    for name in asked.verbs or VERBS:
        figures = measure(name, place, sources, asked.repeats)
        shown = [value for each in figures for value in (each.first_line, each.wall, each.processor)]
        print(f"{name:<22}" + "".join(f"{value:>20.2f}" for value in shown), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
