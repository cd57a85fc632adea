"""What stopping by the interval's width saves `seatrial run`, and what it costs, beside points of fixed seconds.

    python benchmarks/bench_widths.py RUN [--batch-size 1,4,8,16] [--engines onnxruntime,…] [--seconds 10]

RUN is a finished run, such as `seatrial demo` makes. Every setting is measured in a fresh process by `run`'s own
limits, and in another for `--seconds`; which of the two comes first alternates. Start-up is what the process took
besides its warm-up and its samples. Stop everything else on the machine first.
"""

import argparse
import time
from dataclasses import astuple, dataclass
from pathlib import Path

from seatrial.bench.sweep import SweepSpec, sweep
from seatrial.engines.base import read_engine
from seatrial.machine.environment import read_environment
from seatrial.results.speed import find_timed_s, measure_rate
from seatrial.workflow.run_jobs import make_sweep
from seatrial.workflow.run_spec import RunSpec

COLUMNS = "{:<16}{:>6}  {:<12}{:>11}{:>9}{:>9}{:>11}{:>12}"


@dataclass(frozen=True)
class Cost:
    """Seconds that a point took, by what they were spent on."""

    timed_s: float
    warmup_s: float
    startup_s: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def describe(self) -> list[str]:
        """A cell for each."""
        return [f"{seconds:.2f}" for seconds in astuple(self)]


def measure_once(folder: Path, spec: SweepSpec) -> tuple[Cost, float, float]:
    """The cost of a point, its images/s, and half its interval as a share of them."""
    began = time.perf_counter()
    measured = sweep(folder, spec)
    took = time.perf_counter() - began
    rate = measure_rate(measured.points)
    assert rate.bounds is not None, rate.doubt
    timed, warmup = find_timed_s(measured), sum(measured.points[0].warmup_ms) / 1000
    half = (rate.bounds[1] - rate.bounds[0]) / 2 / rate.value
    return Cost(timed, warmup, took - timed - warmup), rate.value, half


def make_specs(run: Path, seconds: float) -> dict[str, SweepSpec]:
    """What a run measures now, and the same with fixed seconds; of random bytes, at any batch size."""
    begin = RunSpec("", None, run, None, (), run, batch_sizes=(1,))
    by_width = make_sweep(begin, run).model_copy(update={"images": None})
    limits = by_width.limits.model_copy(update={"precision": None, "duration_s": seconds})
    return {"by width": by_width, f"{seconds:g} s": by_width.model_copy(update={"limits": limits})}


def main() -> None:
    """Print a line for each point, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--batch-size", default="1,4,8,16")
    parser.add_argument("--engines", default="onnxruntime,openvino-bf16,torch")
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    specs = make_specs(asked.run, asked.seconds)
    environment = read_environment()
    print(f"{environment.cpu}, {environment.cores} cores; Python {environment.python}")
    print(COLUMNS.format("engine", "batch", "", "images/s", "± %", "timed s", "warm-up s", "start-up s"))
    sums = dict.fromkeys(specs, Cost(0.0, 0.0, 0.0))
    turns = list(specs.items())
    for name in asked.engines.split(","):
        folder = read_engine(asked.run / "engines" / name).folder
        for size in map(int, asked.batch_size.split(",")):
            for how, spec in turns:
                cost, rate, half = measure_once(folder, spec.model_copy(update={"batch_sizes": (size,)}))
                sums[how] += cost
                cells = [f"{rate:.1f}", f"{100 * half:.2f}", *cost.describe()]
                print(COLUMNS.format(name, size, how, *cells), flush=True)
            turns.reverse()
    for how, cost in sums.items():
        print(COLUMNS.format("all", "", how, "", "", *cost.describe()))


if __name__ == "__main__":
    main()
