"""A training killed with SIGKILL at random moments and taken up again each time, beside one that never was.

    python benchmarks/kill_training.py --folder WORK [--kills 10] [--network test_resnet] [--epochs 4] [--seed 1]

Prints where each attempt began and what it had done when it was killed, and whether the weights are the same bits.
On the demo's digits; snapshots every five steps, so that some kills fall into one that is being written.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from train_processes import write_card

STEP = '"event": "step"'


def start(card: Path, output: Path, epochs: int) -> subprocess.Popen[str]:
    """One attempt of the training."""
    words = ["train", str(card), "--data", str(card.parent / "data"), "--output", str(output), "--epochs", str(epochs)]
    words += ["--checkpoint-every", "5", "--batch-size", "32", "--json"]
    command = [sys.executable, "-m", "seatrial", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, object]:
    """The record of a training that nobody stops."""
    told, errors = process.communicate()
    if process.returncode:
        raise SystemExit(errors)
    return json.loads(told)  # type: ignore[no-any-return]


def find_last_step(output: Path) -> int:
    """The last step in the log; 0 is none yet."""
    log = output / "train.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    # A process that was just killed may have left half a line.
    steps = [json.loads(line)["step"] for line in lines if STEP in line and line.endswith("}")]
    return max(steps, default=0)


def kill_one(card: Path, output: Path, epochs: int, steps: int, wait_s: float) -> str | None:
    """Start an attempt, and kill it that long after so many steps; None if it was done before."""
    process, before = start(card, output, epochs), find_last_step(output)
    # The log is first cut back to the snapshot.
    while process.poll() is None and not (0 < find_last_step(output) != before):
        time.sleep(0.005)
    began = find_last_step(output)
    while process.poll() is None and find_last_step(output) < began + steps - 1:
        time.sleep(0.005)
    time.sleep(wait_s)
    process.kill()
    process.communicate()
    if process.returncode == 0:
        return None
    state = ", a snapshot half written" if list(output.glob(".snapshot.pt.*/snapshot.pt")) else ""
    return f"began at step {began}, killed after step {find_last_step(output)}{state}"


def main() -> None:
    """Train twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--network", default="test_resnet", help="One of timm's.")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    card, chance = write_card(asked.folder, asked.network), random.Random(asked.seed)
    whole, killed = asked.folder / "whole", asked.folder / "killed"
    for folder in (whole, killed):
        shutil.rmtree(folder, ignore_errors=True)
    record = finish(start(card, whole, asked.epochs))
    steps = find_last_step(whole)
    seconds = sum(epoch["seconds"] for epoch in record["epochs"])  # type: ignore[attr-defined]
    print(f"undisturbed: {asked.network}, {record['precision']}, {steps} steps in {seconds:.1f} s", flush=True)
    for kill in range(1, asked.kills + 1):
        done = chance.randrange(1, max(2, 2 * steps // (asked.kills + 1)))
        told = kill_one(card, killed, asked.epochs, done, chance.uniform(0, seconds / steps))
        print(f"kill {kill:>2}: {told or 'it was done before'}", flush=True)
        if told is None:
            break
    found = finish(start(card, killed, asked.epochs))
    same = record["checkpoint_sha256"] == found["checkpoint_sha256"]
    print(f"resumed {found['resumed']} times; weights: {'the same bits' if same else 'DIFFERENT'}")
    logged = [find_last_step(folder) for folder in (whole, killed)]
    print(f"steps in the logs: {logged[0]} and {logged[1]}")


if __name__ == "__main__":
    main()
