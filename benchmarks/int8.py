"""What int8 is worth on this CPU: processor time for an image, beside the float engine of the same runtime.

    python benchmarks/int8.py --folder WORK [--networks resnet50,…] [--batch-size 1,4,16] [--rounds 3]

One thread; the time is the processor's, not the clock's, so that other work on the machine spoils it less. Engines take
turns in every round, and the least of their medians counts. Graphs are made in WORK at the first run, and found there
later.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from networks import NETWORKS, make_graphs

from seatrial.engines import get_engine
from seatrial.engines.base import Session
from seatrial.engines.engine_folder import BuildSpec
from seatrial.machine.cpu import has_fast_bf16
from seatrial.machine.environment import read_environment
from seatrial.progress import silent
from seatrial.workflow.compile import compile_graph

RUNS = 7


def list_pairs() -> tuple[tuple[str, str, float], ...]:
    """Runtime, the float precision that int8 must beat, and by how much."""
    return ("onnxruntime", "fp32", 1.0), ("openvino", "bf16" if has_fast_bf16() else "fp32", 1.3)


def measure(session: Session, batch_size: int) -> float:
    """Milliseconds of processor time for an image: the median of some runs."""
    shape = (batch_size, *session.input.shape[1:])
    batch = np.random.default_rng(0).integers(0, 256, shape).astype(session.input.dtype)
    times = []
    for index in range(RUNS + 2):
        began = time.process_time()
        session.run(batch)
        if index >= 2:
            times.append(time.process_time() - began)
    return 1e3 * statistics.median(times) / batch_size


def compare(name: str, folder: Path, batch_size: int, rounds: int) -> list[str]:
    """One network at one batch size: a row for each runtime."""
    graphs = make_graphs(name, folder)
    with ExitStack() as opened:
        work: dict[tuple[str, str], Callable[[], float]] = {}
        for engine, plain, _ in list_pairs():
            for precision in (plain, "int8"):
                graph = graphs["int8" if precision == "int8" else "fp32"]
                spec = BuildSpec(engine, precision, batch_sizes=(batch_size,), options={"threads": "1"})
                built = compile_graph(graph, spec, folder / f"{name}-{engine}-{precision}-{batch_size}-one", silent)
                session = opened.enter_context(get_engine(engine).open(built, "cpu", batch_size))
                work[engine, precision] = lambda session=session: measure(session, batch_size)
        found: dict[tuple[str, str], list[float]] = {key: [] for key in work}
        for _ in range(rounds):
            for key, run in work.items():
                found[key].append(run())
    rows = []
    for engine, plain, goal in list_pairs():
        slow, fast = min(found[engine, plain]), min(found[engine, "int8"])
        verdict = "reached" if slow / fast >= goal else "MISSED"
        rows.append(
            f"{name:<20}{batch_size:>5}  {engine:<12}{plain:>5} {slow:8.2f}   int8 {fast:8.2f}   {slow / fast:5.2f} x"
            f"   goal {goal:.1f} {verdict}"
        )
    return rows


def main() -> None:
    """Print a row for each network, batch size and runtime."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--batch-size", default="1,4,16")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(f"{read_environment().cpu}; milliseconds of processor time for an image, one thread", flush=True)
    for name in asked.networks.split(","):
        for size in map(int, asked.batch_size.split(",")):
            print("\n".join(compare(name, asked.folder, size, asked.rounds)), flush=True)


if __name__ == "__main__":
    main()
