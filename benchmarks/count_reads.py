"""How often each verb hashes each file, parses each graph and probes each engine, in its own and its worker processes.

    python benchmarks/count_reads.py --folder WORK [--source SRC]

A miniature ResNet-18 goes through every verb, each in a fresh process. A folder on PYTHONPATH holds a
`sitecustomize.py`, which Python runs when it starts, also in every process that a verb starts. It wraps
`hashlib.file_digest`, `onnx.load` and each engine's probe, and writes every call to a file.
`--source` names another tree's `src`, to compare with.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOG = "COUNT_READS_LOG"
"""The environment variable that names the file for the calls."""
HOOK = """
import hashlib, importlib.abc, importlib.util, json, os, sys

def note(kind, name):
    with open(os.environ["COUNT_READS_LOG"], "a") as log:
        log.write(json.dumps([kind, str(name), os.getpid()]) + "\\n")

def wrap(owner, attribute, kind, name):
    original = getattr(owner, attribute)
    def counted(*values, **named):
        note(kind, name(*values))
        return original(*values, **named)
    setattr(owner, attribute, counted)

wrap(hashlib, "file_digest", "hash", lambda file, *rest: file.name)

def count_probes(module):
    for kind in vars(module).values():
        if isinstance(kind, type) and kind.__module__ == module.__name__ and kind.__name__.endswith("Engine"):
            wrap(kind, "probe", "probe", lambda self: type(self).__name__)

AFTER = {
    "onnx": lambda module: wrap(module, "load", "parse", lambda path, *rest: path),
    **dict.fromkeys(
        ["seatrial.engines.onnxruntime", "seatrial.engines.openvino", "seatrial.engines.torch.engine"], count_probes
    ),
}

class Finder(importlib.abc.MetaPathFinder):
    busy = False

    def find_spec(self, name, path, target=None):
        after = AFTER.get(name)
        if after is None or self.busy:
            return None
        self.busy = True
        try:
            found = importlib.util.find_spec(name)
        finally:
            self.busy = False
        run = found.loader.exec_module
        def load(module):
            run(module)
            after(module)
        found.loader.exec_module = load
        return found

sys.meta_path.insert(0, Finder())
"""


def main() -> int:
    """Run the verbs and print the tables; the exit code is 1 if a command failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--source", type=Path, default=ROOT / "src")
    asked = parser.parse_args()
    work: Path = asked.folder.resolve()
    hooks = work / "hooks"
    hooks.mkdir(parents=True, exist_ok=True)
    (hooks / "sitecustomize.py").write_text(HOOK)
    environment = {**os.environ, "PYTHONPATH": f"{hooks}:{asked.source.resolve()}", LOG: os.devnull}
    failed = False
    for title, words in list_commands(make_trial(work)):
        log = work / "calls.jsonl"
        log.write_text("")
        ran = subprocess.run(
            [sys.executable, "-m", "seatrial", *words],
            env={**environment, LOG: str(log)},
            cwd=work,
            capture_output=True,
            text=True,
        )
        # 3 and 7: gates that this network, whose weights are drawn, does not pass.
        failed = failed or ran.returncode not in (0, 3, 7)
        calls = [json.loads(line) for line in log.read_text().splitlines()]
        print("\n".join(write_table(title, calls, work)), flush=True)
        if ran.returncode not in (0, 3, 7):
            print(ran.stderr[-1000:])
    return int(failed)


def make_trial(work: Path) -> Path:
    """The miniature trial of the tests."""
    sys.path.insert(0, str(ROOT / "tests"))
    from tiny_trial import make_trial as make

    return work / "trial" if (work / "trial").exists() else make(work / "trial").folder


def list_commands(trial: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """Every verb that reads graphs or engines, with what it is run on."""
    images = ["--images", "trial/val", "--labels", "trial/val_label.txt"]
    quick = ["--duration", "0.05", "--min-samples", "2", "--processes", "2"]
    yield "export", ["export", "trial/tiny.toml", "--checkpoint", "trial/tiny.pth", "--output", "model.onnx"]
    yield (
        "quantize",
        [
            "quantize",
            "model.onnx",
            "--calibration",
            "trial/train",
            "--calibration-images",
            "8",
            "--output",
            "int8.onnx",
        ],
    )
    for name in ("onnxruntime", "openvino", "torch"):
        yield f"compile for {name}", ["compile", "model.onnx", "--engine", name, "--output", name]
    yield "compile again", ["compile", "model.onnx", "--engine", "openvino", "--output", "openvino"]
    tuned = ["--batch-size", "1,2", "--output", "tuned"]
    yield "compile --tune", ["compile", "model.onnx", "--engine", "openvino", "--tune", *tuned]
    yield "evaluate", ["evaluate", "openvino", *images, "--output", "evaluation"]
    yield (
        "bench",
        ["bench", "openvino", "--batch-size", "1,2", "--images", "trial/val", *quick, "--output", "bench.json"],
    )
    yield "infer", ["infer", "openvino", "--input", "trial/val", "--output", "answers"]
    run = ["run", "trial/tiny.toml", "--checkpoint", "trial/tiny.pth", *images, "--output", "run"]
    speed = ["--bench-duration", "0.05", "--bench-samples", "2", "--batch-size", "1,2"]
    yield "run", [*run, "--engines", "onnxruntime,openvino", *speed]


def write_table(title: str, calls: Sequence[Sequence[object]], work: Path) -> list[str]:
    """The calls of one command: how often each thing was read, and in how many processes."""
    lines = [f"{title}: {len({pid for *_, pid in calls})} processes read"]
    for kind in ("hash", "parse", "probe"):
        counted = Counter(str(name).replace(f"{work}/", "") for what, name, _ in calls if what == kind)
        most = max(counted.values(), default=0)
        lines.append(f"  {kind:<6}{sum(counted.values()):>4} of {len(counted)}, at most {most} of one")
        lines += [f"    {count:>4} x {name}" for name, count in sorted(counted.items()) if count > 1]
    return lines


if __name__ == "__main__":
    sys.exit(main())
