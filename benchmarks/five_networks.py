"""Every CPU engine beside the others, five networks, several batch sizes: what `seatrial bench` and `compare` print.

    python benchmarks/five_networks.py --folder WORK [--networks resnet50,…] [--batch-size 1,4,16] [--duration 0.5]

Each point is measured in five fresh processes. Columns differ in precision and so in their graphs, which `compare`
refuses until it is told that this is meant; its notes say so under each table. Graphs are made in WORK at the first
run and found there later. Stop everything else on the machine first.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from engines import build
from networks import NETWORKS, make_graphs

ENGINES = ("torch eager fp32", "onnxruntime fp32", "onnxruntime int8", "openvino bf16", "openvino int8")


def measure(name: str, label: str, asked: argparse.Namespace) -> Path:
    """The record of one engine, which an earlier run may have left."""
    sizes = tuple(map(int, asked.batch_size.split(",")))
    engines: Path = asked.folder / "five"
    records = engines / name
    records.mkdir(parents=True, exist_ok=True)
    folder: Path = build(name, label, make_graphs(name, asked.folder), engines, sizes).folder
    record = records / f"{label.replace(' eager', '').replace(' ', '-')}.json"
    words = ["bench", str(folder), "--batch-size", asked.batch_size, "--duration", str(asked.duration)]
    words += ["--min-samples", str(asked.min_samples), "--images", str(asked.folder / "pictures")]
    ran = run([*words, "--output", str(record)])
    if ran.returncode:
        raise SystemExit(ran.stderr)
    return record


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    """The command that a user would give."""
    return subprocess.run([sys.executable, "-m", "seatrial", *words], capture_output=True, text=True)


def main() -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--batch-size", default="1,4,16")
    parser.add_argument("--duration", type=float, default=0.5)
    parser.add_argument("--min-samples", type=int, default=10)
    asked = parser.parse_args()
    for name in asked.networks.split(","):
        records = [measure(name, label, asked) for label in ENGINES]
        words = ["compare", *map(str, records), "--allow", "precision,graph"]
        compared = run(words)
        if not compared.stdout:
            raise SystemExit(compared.stderr)
        print(f"{name}\n{compared.stdout}", flush=True)


if __name__ == "__main__":
    main()
