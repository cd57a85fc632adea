"""An evaluation killed with SIGKILL at random moments and taken up again each time, beside one that never was.

    python benchmarks/kill.py ENGINE --images SRC [--labels FILE] --folder WORK [--count 20000] [--kills 20]

Prints what the ledger held after each kill, and whether the final Parquet and record are the same to the byte.
"""

import argparse
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from seatrial.evaluation.ledger import PredictionLedger
from seatrial.evaluation.pipeline import CHUNK
from seatrial.store.measurement import Throughput


def start(words: list[str], output: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "seatrial", "evaluate", *words, "--output", str(output), "--resume"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def count_answered(path: Path, count: int) -> int:
    """Images that a copy of the ledger tells of, its torn end cut off; its key is in its first line."""
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)
    key = copy.open("rb").readline().split(b'"')[7].decode()
    with PredictionLedger(copy, key, count) as ledger:
        found = int(ledger.tally.done.sum())
    copy.unlink()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", type=Path)
    parser.add_argument("--images", required=True)
    parser.add_argument("--labels")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    name, chance = asked.engine.name, random.Random(asked.seed)
    words = [str(asked.engine), "--images", asked.images, "--fake-images", str(asked.count)]
    words += ["--labels", asked.labels] if asked.labels else []
    whole, killed = asked.folder / "whole", asked.folder / "killed"
    for folder in (whole, killed):
        shutil.rmtree(folder, ignore_errors=True)
    begun = time.perf_counter()
    assert start(words, whole).wait() == 0
    seconds = time.perf_counter() - begun
    print(f"undisturbed: {asked.count} images in {seconds:.1f} s with loading; a chunk is {CHUNK} images")
    ledger = killed / f".{name}.ledger"
    for kill in range(1, asked.kills + 1):
        before = count_answered(ledger, asked.count) if ledger.exists() else 0
        process = start(words, killed)
        size, begun = (ledger.stat().st_size if ledger.exists() else 0), time.perf_counter()
        # Every fourth is killed while it starts, the others after they have kept something.
        while kill % 4 and process.poll() is None and not (ledger.exists() and ledger.stat().st_size > max(size, 500)):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 2.0 if kill % 4 == 0 else seconds / asked.kills))
        moment = time.perf_counter() - begun
        process.kill()
        process.communicate()
        if not ledger.exists():
            state = "done" if (killed / f"{name}.json").exists() else "not begun"
            print(f"kill {kill:>2} after {moment:.2f} s: {state}")
            continue
        after = count_answered(ledger, asked.count)
        print(f"kill {kill:>2} after {moment:.2f} s: {before} images before, {after} after", flush=True)
    assert start(words, killed).wait() == 0
    for suffix in ("parquet", "json"):
        same = (whole / f"{name}.{suffix}").read_bytes() == (killed / f"{name}.{suffix}").read_bytes()
        print(f"{name}.{suffix}: {'the same to the byte' if same else 'DIFFERS'}")
    pace = Throughput.load(killed / f"{name}.throughput.json")
    print(f"sittings that left an entry: {pace.attempts}; images answered: {pace.images}")


if __name__ == "__main__":
    main()
