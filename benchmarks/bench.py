"""What measuring costs, and whether its figures are those of others: on an engine folder that `seatrial compile` wrote.

    python benchmarks/bench.py ENGINE [overhead bare vendor aa] [--batch-size 8] [--seconds 4] [--pairs 40]

- overhead: what `bench.measure` and its looks at outputs add to a call that does nothing (20 µs are allowed), and,
  beside a bare loop over the same session, to a call of ENGINE (1 % at batch 8 and more);
- bare: medians of measuring processes beside a bare loop in a process of its own, in turns (3 % are allowed);
- vendor: the same beside OpenVINO's `benchmark_app -hint latency -api sync`, for an openvino ENGINE of a fixed batch;
- aa: ENGINE against itself, so many pairs of measurements of five processes each, one after the other: how many differ
  significantly, as `seatrial compare` sees it (5 % are allowed), and how much samples and processes scatter
  (coefficients of variation).

Stop everything else on the machine first. The exit code is 1 if a limit is exceeded.
"""

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seatrial.bench.inputs import make_batches, make_random_pixels
from seatrial.bench.measure import Limits, measure
from seatrial.bench.output_checks import OutputCheck
from seatrial.bench.sweep import run_worker
from seatrial.bench.timed_work import TimedWork, make_run_batch
from seatrial.bench.worker import Job
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.engines import get_engine
from seatrial.engines.base import EngineFile, read_engine
from seatrial.metrics.latency import Latency
from seatrial.results.speed import divide, measure_rate
from seatrial.store.measurement import Point

MOST_CALL_US = 20.0
MOST_SHARE = 0.01
MOST_MEDIAN = 0.03
MOST_SIGNIFICANT = 0.05
MEDIAN = re.compile(r"Median:\s+([0-9.]+) ms")


@dataclass(frozen=True)
class Asked:
    """What to measure, and how long."""

    file: EngineFile
    batch_size: int
    seconds: float
    repeats: int
    pairs: int
    processes: int


def print_overhead(asked: Asked) -> bool:
    """What a call costs beyond the engine."""
    calls = 20_000
    empty = 1e6 * (time_harness(calls) - time_bare_loop(calls))
    print(f"overhead: {empty:.2f} µs a call that does nothing (at most {MOST_CALL_US:g})")
    shares = [share for _ in range(asked.repeats) for share in compare_loops(asked)]
    share = statistics.median(shares) - 1
    print(f"overhead: {share:+.2%} of a call at batch {asked.batch_size} (at most {MOST_SHARE:.0%} from batch 8 on)")
    return empty <= MOST_CALL_US and (share <= MOST_SHARE or asked.batch_size < 8)


def time_harness(calls: int) -> float:
    """Seconds of a measured call that does nothing, everything around it included."""
    check = OutputCheck("fp32")
    answer = np.zeros((1, 4), np.float32)
    check.record_references(lambda index: answer, 100, 0.0, time.perf_counter)
    limits = Limits(warmup_runs=2, warmup_s=0, warmup_budget_s=0, duration_s=0, min_samples=calls)
    start = time.perf_counter()
    measure(lambda index: answer, limits, on_sample=lambda index, _, logits: check.offer(index % 100, logits))
    return (time.perf_counter() - start) / calls


def time_bare_loop(calls: int) -> float:
    """Seconds of a timed call that does nothing, in the shortest loop that keeps its times."""
    times = []
    begun = time.perf_counter()
    for _ in range(calls):
        start = time.perf_counter()
        times.append(time.perf_counter() - start)
    return (time.perf_counter() - begun) / calls


def compare_loops(asked: Asked) -> Iterator[float]:
    """Time of a call in our loop over that in a bare one, on the same session, in turns."""
    file = asked.file
    pipeline = read_pipeline(file.manifest.graph)
    with get_engine(file.manifest.engine).open(file, file.manifest.device, asked.batch_size) as session:
        batches = make_batches(make_random_pixels(pipeline, 0), asked.batch_size, session.input, pipeline)
        run_batch = make_run_batch(session, file.manifest.engine, on_device=False)
        work = TimedWork(len(batches), lambda index: run_batch(batches[index]))
        check = OutputCheck(file.manifest.precision)
        check.record_references(lambda index: work.run(index)[0], work.inputs, 0.0, time.perf_counter)
        runs = max(2, round(asked.seconds / 4 / max(1e-6, clock(lambda: session.run(batches[0])))))
        limits = Limits(warmup_runs=2, warmup_s=0, warmup_budget_s=0, duration_s=0, min_samples=runs)

        def ours() -> None:
            def on_sample(index: int, _: float, ran: tuple[np.ndarray, object]) -> None:
                check.offer(index % work.inputs, ran[0])

            measure(lambda i: work.run(i % work.inputs), limits, on_sample=on_sample)

        def theirs() -> None:
            for i in range(runs + 1):  # One run of warm-up goes before ours.
                session.run(batches[i % len(batches)])

        for _ in range(4):
            yield clock(ours) / clock(theirs)


def clock(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def print_bare(asked: Asked) -> bool:
    """Our medians beside those of a process that only loops."""
    return print_medians("a bare loop", asked, lambda: run_bare(asked))


def run_bare(asked: Asked) -> float:
    """Median milliseconds of a bare loop in a fresh process."""
    words = [sys.executable, __file__, str(asked.file.folder), "loop"]
    words += ["--batch-size", str(asked.batch_size), "--seconds", str(asked.seconds)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(MEDIAN.findall(ran.stdout)[-1])


def print_loop(asked: Asked) -> bool:
    """Be that process."""
    file = asked.file
    pipeline = read_pipeline(file.manifest.graph)
    with get_engine(file.manifest.engine).open(file, file.manifest.device, asked.batch_size) as session:
        batches = make_batches(make_random_pixels(pipeline, 0), asked.batch_size, session.input, pipeline)
        times: list[float] = []
        begun = time.perf_counter()
        while len(times) < 20 or time.perf_counter() - begun < 2 * asked.seconds:
            start = time.perf_counter()
            session.run(batches[len(times) % len(batches)])
            times.append(time.perf_counter() - start)
    # The first half warms up.
    print(f"Median: {1000 * statistics.median(times[len(times) // 2 :])} ms")
    return True


def print_vendor(asked: Asked) -> bool:
    """Our medians beside benchmark_app's."""
    model, fixed = asked.file.pick(asked.batch_size)
    if asked.file.manifest.engine != "openvino" or fixed != asked.batch_size:
        print(f"vendor: needs an openvino engine that was compiled with --batch-size {asked.batch_size}")
        return True

    def run() -> float:
        words = [str(Path(sys.executable).with_name("benchmark_app")), "-m", str(model), "-d", "CPU"]
        words += ["-hint", "latency", "-api", "sync", "-t", str(max(1, round(asked.seconds)))]
        words += ["-infer_precision", "bf16" if asked.file.manifest.precision == "int8" else precision_of(asked.file)]
        ran = subprocess.run(words, capture_output=True, text=True, check=True)
        return float(MEDIAN.findall(ran.stdout)[-1])

    return print_medians("benchmark_app -hint latency", asked, run)


def precision_of(file: EngineFile) -> str:
    """As the tool calls it."""
    return {"fp32": "f32", "fp16": "f16"}.get(file.manifest.precision, file.manifest.precision)


def print_medians(name: str, asked: Asked, theirs: Callable[[], float]) -> bool:
    """Ours and theirs in turns."""
    pairs = [(statistics.median(run_ours(asked).durations_ms), theirs()) for _ in range(asked.repeats)]
    ratio = statistics.median(a / b for a, b in pairs)
    told = ", ".join(f"{a:.3f}/{b:.3f}" for a, b in pairs)
    print(f"median ms, ours/{name}: {told}: {ratio - 1:+.1%} (at most {MOST_MEDIAN:.0%} either way)", flush=True)
    return abs(ratio - 1) <= MOST_MEDIAN


def run_ours(asked: Asked) -> Point:
    """One measuring process."""
    limits = Limits(
        warmup_runs=6,
        warmup_s=0.3,
        warmup_budget_s=min(5, 20 * asked.seconds),
        duration_s=asked.seconds,
        min_samples=10,
    )
    manifest = asked.file.manifest
    return run_worker(Job(file=asked.file, device=manifest.device, batch_size=asked.batch_size, limits=limits))


def print_aa(asked: Asked) -> bool:
    """The engine against itself: one measurement after the other, held against each other as `compare` does."""
    significant, points = 0, list[Point]()
    for number in range(asked.pairs):
        pair = [[run_ours(asked) for _ in range(asked.processes)] for _ in range(2)]
        ratio = divide(*map(measure_rate, pair))
        assert ratio.bounds is not None
        low, high = ratio.bounds
        found = not low <= 1 <= high
        significant += found
        points += [point for points in pair for point in points]
        told = f"{ratio.value - 1:+.2%} ({low - 1:+.2%} to {high - 1:+.2%})"
        print(f"aa: pair {number + 1}: {told}{', significant' if found else ''}", flush=True)
    within = statistics.median(Latency.of(p.durations_ms, p.batch_size).variation for p in points)
    medians = [statistics.median(p.durations_ms) for p in points]
    between = statistics.stdev(medians) / statistics.mean(medians)
    most = max(1, int(MOST_SIGNIFICANT * asked.pairs))
    print(f"aa: {significant} of {asked.pairs} pairs differ significantly (at most {most})")
    print(f"CV: {within:.1%} of the samples in a process, {between:.1%} of the processes' medians")
    return significant <= most


def main(arguments: list[str] | None = None) -> int:
    """Measure what was asked and print it; 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"overhead": print_overhead, "bare": print_bare, "vendor": print_vendor, "aa": print_aa}
    parser.add_argument("engine", type=Path)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; default: all")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--processes", type=int, default=5)
    given = parser.parse_args(arguments)
    asked = Asked(
        read_engine(given.engine.resolve()), given.batch_size, given.seconds, given.repeats, given.pairs,
        given.processes,
    )  # fmt: skip
    known = {**parts, "loop": print_loop}
    unknown = [part for part in given.parts if part not in known]
    if unknown:
        parser.error(f"there is no part {unknown[0]}: {', '.join(parts)}")
    kept = [known[part](asked) for part in given.parts or parts]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    raise SystemExit(main())
