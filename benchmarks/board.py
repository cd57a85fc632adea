"""How long a board of ten thousand runs takes: copies of one made-up run, with and without `summary.json`.

    python benchmarks/board.py [--runs 10000] [--folder FOLDER]

The folder is written, read with cold caches where the system lets us drop them, and deleted.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from run_folder import BF16, INT8, ORT, TORCH, Trial, build_run
from seatrial.results.run_folder import read_records
from seatrial.results.summarise import summarise
from seatrial.store.summary import SUMMARY


def copy_runs(folder: Path, count: int) -> None:
    """`count` runs of four engines each, in groups of a hundred."""
    first = build_run(folder / "first", Trial(ships=(TORCH, ORT, BF16, INT8)))
    for path in first.rglob("*.html"):
        path.unlink()
    summarise(read_records(first)).save(first / SUMMARY)
    for index in range(count - 1):
        shutil.copytree(first, folder / f"group-{index // 100:03d}" / f"run-{index:05d}")


def drop_caches() -> bool:
    """Ask the kernel to forget files; needs root."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def time_board(folder: Path, form: str) -> str:
    """Seconds of a whole command, its start-up included."""
    cold = drop_caches()
    output = folder.parent / f"board.{form}"
    begun, used = time.perf_counter(), _used_s()
    subprocess.run(
        [sys.executable, "-m", "seatrial", "board", str(folder), "--output", str(output)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - begun
    state = "cold" if cold else "files in memory"
    size = output.stat().st_size / 1e6
    return f"{form:5} {seconds:6.1f} s {state}, {_used_s() - used:5.1f} s of processor time, {size:.1f} MB"


def _used_s() -> float:
    """Processor time of all commands so far."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main() -> None:
    """Print one line for each format, then one without the summaries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as place:
        folder = Path(place) / "runs"
        copy_runs(folder, arguments.runs)
        print(f"{arguments.runs:,} runs of 4 engines, {os.cpu_count()} cores")
        for form in ("html", "csv"):
            print(time_board(folder, form), flush=True)
        bare = folder.with_name("bare")
        bare.mkdir()
        for group in sorted(folder.glob("group-*"))[:10]:
            group.rename(bare / group.name)
        for path in bare.rglob(SUMMARY):
            path.unlink()
        count = sum(1 for _ in bare.rglob("run.json"))
        print(f"{time_board(bare, 'csv')}, {count:,} runs without {SUMMARY}")


if __name__ == "__main__":
    main()
