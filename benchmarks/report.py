"""How long a report of a large run takes and how large it is: synthetic records of an ImageNet-sized trial.

    python benchmarks/report.py --folder WORK [--images 50000] [--classes 1000] [--rounds 3]

Records of four engines are written once, with the miniature run of the tests as their pattern; then `seatrial report`
is timed in processes of its own. Leaves with 1 if the median takes more than 5 s or a page is larger than 3 MB.
"""

import argparse
import dataclasses
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import run_folder

MOST_S, MOST_BYTES = 5.0, 3_000_000
SAMPLES = 2000
"""Timed runs of each batch size."""
BATCHES = (1, 2, 4, 8, 16, 32)


def make_run(folder: Path, images: int, classes: int) -> Path:
    """A run of four engines: a quarter of the images wrong in the reference, up to 2 % flipped in the others."""
    if (folder / "run.json").exists():
        return folder
    run_folder.CLASSES = classes
    rng = np.random.default_rng(0)
    wrong = rng.random(images) < 0.24
    ships = []
    for ship, share, base_ms in (
        (run_folder.TORCH, 0.0, 13.0),
        (run_folder.ORT, 0.0, 4.3),
        (run_folder.BF16, 0.003, 1.8),
        (run_folder.INT8, 0.02, 1.0),
    ):
        rows = np.flatnonzero(wrong ^ (rng.random(images) < share))
        times = {size: tuple(base_ms * size**0.8 * rng.lognormal(0, 0.04, SAMPLES)) for size in BATCHES}
        ships.append(dataclasses.replace(ship, wrong=frozenset(rows.tolist()), batch_ms=times))
    trial = run_folder.Trial(tuple(ships), images=images, image_name="val/ILSVRC2012_val_{:08d}.JPEG", trained=True)
    return run_folder.build_run(folder, trial)


def read_children() -> float:
    """Seconds of processor time that all children took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    run = make_run(given.folder / f"run-{given.images}-{given.classes}", given.images, given.classes)
    times, cpu_times = [], []
    for _ in range(given.rounds):
        begun, used = time.perf_counter(), read_children()
        subprocess.run([sys.executable, "-m", "seatrial", "report", run], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begun)
        cpu_times.append(read_children() - used)
    sizes = {name: (run / name).stat().st_size for name in ("report.html", "report.md")}
    median = statistics.median(times)
    work = f"{median:.2f} s (at most {MOST_S:g}), of the processors {statistics.median(cpu_times):.2f} s"
    print(f"{given.images:,} images, {given.classes:,} classes, 4 engines: {work}; load {os.getloadavg()[0]:.1f}")
    print(", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in sizes.items()), f"(at most {MOST_BYTES / 1e6:g})")
    return int(median > MOST_S or max(sizes.values()) > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
