"""All attacks of tests/battery on the promises of docs/promises.md; what they counted goes into results/battery.json.

    python benchmarks/battery.py [--all] [--seed N] [--json FILE] [TEST …]

Some 30 minutes on 2 cores. --all kills at every moment there is, where else a random tenth is chosen. With tests named
only those run, and the figures of the others stay. The exit code is pytest's.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seatrial.machine.environment import read_environment

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results") / "battery.json"
Figures = Mapping[str, Any]


def merge(old: Sequence[Figures], new: Sequence[Figures]) -> list[Figures]:
    """The figures of both, of the same thing only the new ones, by promise and name."""
    known = {(figures["promise"], figures["name"]): figures for figures in (*old, *new)}
    return [known[key] for key in sorted(known)]


def read_commit() -> str:
    """The commit that is tested, with a plus where the tree has changes."""
    said = subprocess.run(
        ["git", "describe", "--always", "--exclude=*", "--dirty=+", "--abbrev=10"],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    return said.stdout.strip()


def describe_machine() -> str:
    """Cores, processor and memory."""
    machine = read_environment(())
    return f"{machine.cores} cores of {machine.cpu}, {machine.memory_bytes / 2**30:.0f} GiB"


def run_battery(tests: Sequence[str], figures: Path, seed: int, everything: bool) -> int:
    """Run the battery's tests; returns pytest's exit code."""
    ours = {"SEATRIAL_BATTERY_FIGURES": str(figures), "SEATRIAL_BATTERY_SEED": str(seed)}
    ours |= {"SEATRIAL_BATTERY_ALL": str(int(everything)), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        "pyproject.toml",
        "-m",
        "battery or whole",
        "-p",
        "no:cacheprovider",
        *tests,
    ]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **ours}).returncode


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", default=["tests/battery"], help="as pytest takes them")
    parser.add_argument("--all", action="store_true", help="every moment to be killed at")
    parser.add_argument("--seed", type=int, help="default: drawn")
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args(words)
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    old = json.loads(asked.json.read_text(encoding="utf-8")) if asked.json.exists() else []
    about = {"commit": read_commit(), "machine": describe_machine()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.jsonl"
        path.touch()
        code = run_battery(asked.tests, path, seed, asked.all)
        new = [{**json.loads(line), **about} for line in path.read_text(encoding="utf-8").splitlines()]
    merged = merge(old, new)
    asked.json.write_text(json.dumps(merged, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if asked.json == RESULTS:
        subprocess.run([sys.executable, ROOT / "docs" / "write_reference.py"], cwd=ROOT, check=True)
    print(f"{len(new)} figures into {asked.json}; {sum(figures['failed'] for figures in new)} cases failed")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
