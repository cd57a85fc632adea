"""The torch engine on a CUDA machine beside eager PyTorch as timm runs it: images/s, TFLOP/s, shares of ceilings.

    python benchmarks/gpu.py [--networks …] [--batches …] [--precisions …] [--ways …] [--host …]
                             [--seconds 1] [--budget-s 420] [--device cuda:0|cpu]

Goal: at least 25,000 images/s for ResNet-50 in fp16, compiled, on a card of the H200's class, and at least twice eager
channels_last on every network. What a run reached is printed at its end.

Ways: `baseline` is the plain network, eager, channels_last, its weights and normalised input in the precision (what
timm's benchmark.py times); `eager`, `compiled` and `graphs` (compiled, CUDA graphs) are the engine's sessions, which
also normalise uint8 pictures. Device scope: the median time between two CUDA events around one call whose input is on
the device. Host scope: a uint8 array in, logits out, two threads on a session of two streams; of `graphs` alone unless
--host names others, for cuDNN tries its kernels anew in every thread. Ceilings are measured first: a large matrix
product in each precision, and a pinned copy to the device. FLOPs are counted by PyTorch, a multiply-add as two.

Weights are random by a fixed rule, and what each way answers to 64 pictures is held against fp32 eager on the CPU. The
exit code is 1 when an answer is off or a point fails; the other points are still measured. `--device cpu` runs the same
code without a GPU, to test it: its figures mean nothing.
"""

import argparse
import gc
import platform
import statistics
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from threading import Barrier

import numpy as np
import torch
from gpu_cases import PICTURES, Case, check, find_faults, make_case

from seatrial.data.preprocessing.steps import normalise
from seatrial.engines.base import DeviceTimed, EngineFile, Session
from seatrial.engines.torch.engine import DTYPES, TorchEngine
from seatrial.models.checkpoint import load_network

NETWORKS = ("resnet50", "sk_resnet50", "spnasnet_100", "seresnext101_32x4d", "resnext50_32x4d")
BATCHES = (1, 4, 16, 64, 128, 256, 512, 1024)
FIRST_BATCHES = (256, 1024, 64, 1)
"""Measured before the others, in this order."""
WAYS: dict[str, dict[str, str] | None] = {
    "baseline": None,
    "graphs": {"mode": "compiled", "cuda_graphs": "true"},
    "compiled": {"mode": "compiled", "cuda_graphs": "false"},
    "eager": {"mode": "eager", "channels_last": "true"},
}
GOAL_RATE, GOAL_RATIO = 25_000, 2.0
STREAMS, WARMUP, LEAST_SAMPLES = 2, 3, 5
COLUMNS = (
    f"{'network':<19}{'prec':<5}{'batch':>5} {'way':<9}{'images/s':>9}{'TFLOP/s':>8}{'of mm':>6}{'x base':>7}"
    f"{'host im/s':>10}{'of copy':>8}{'top-1':>7}{'error':>9}{'took s':>8}"
)


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What this machine reached in this run."""

    flops_per_s: dict[str, float]
    copy_bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Point:
    """One line of the table."""

    network: str
    precision: str
    batch: int
    way: str


@dataclass(frozen=True, slots=True)
class Result:
    """What was found at a point."""

    rate: float
    host_rate: float | None
    agreement: float
    error: float


@dataclass(slots=True)
class Tally:
    """What the run came to so far."""

    results: dict[Point, Result] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    left_out: list[Point] = field(default_factory=list)
    too_large: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """The smallest batch that did not fit, by network, precision and way."""
    longest_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By way: a point that may not fit into what is left of the budget is not begun."""


class Baseline:
    """The plain network, eager, channels_last."""

    def __init__(self, case: Case, point: Point, device: torch.device) -> None:
        self.recipe, self.device, self.dtype = case.recipe, device, getattr(torch, DTYPES[point.precision])
        network = load_network(case.recipe.network, case.folder / "checkpoint.safetensors")
        self.network = network.to(device, self.dtype).to(memory_format=torch.channels_last)
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True

    def send(self, pixels: np.ndarray) -> torch.Tensor:
        images = torch.from_numpy(normalise(pixels, self.recipe)).to(self.device, self.dtype)
        return images.to(memory_format=torch.channels_last)

    def run(self, pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.network(self.send(pixels)).float().cpu().numpy()

    def make_timer(self, batches: Sequence[np.ndarray]) -> Callable[[int], float]:
        sent = [self.send(batch) for batch in batches]

        def time_one(index: int) -> float:
            with torch.inference_mode():
                return time_ms(self.device, lambda: self.network(sent[index % len(sent)]))

        return time_one


def time_ms(device: torch.device, call: Callable[[], object]) -> float:
    """One call's time, by events on the device where it has them."""
    if device.type == "cpu":
        start = time.perf_counter()
        call()
        return 1000 * (time.perf_counter() - start)
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    before.record()
    call()
    after.record()
    after.synchronize()
    return before.elapsed_time(after)


def take_median(time_one: Callable[[int], float], seconds: float) -> float:
    """The median of what fits into `seconds`, after warming up."""
    for index in range(WARMUP):
        time_one(index)
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < LEAST_SAMPLES or time.perf_counter() < end:
        samples.append(time_one(len(samples)))
    return statistics.median(samples)


def time_session(session: Session, batches: Sequence[np.ndarray], seconds: float) -> float:
    """Milliseconds on the device; of the whole run on the CPU."""

    def time_one(index: int) -> float:
        batch = batches[index % len(batches)]
        if isinstance(session, DeviceTimed):
            return session.run_timed(batch)[1].device_ms
        return time_ms(torch.device("cpu"), lambda: session.run(batch))

    return take_median(time_one, seconds)


def rate_host(session: Session, batches: Sequence[np.ndarray], seconds: float) -> float:
    """Images/s of as many threads as the session has streams."""
    barrier = Barrier(STREAMS, timeout=60)  # A thread that failed must not keep the other waiting.

    def work(_: int) -> tuple[float, float, int]:
        for batch in [*batches, batches[0]]:
            session.run(batch)
        barrier.wait()
        start, count = time.perf_counter(), 0
        while count < LEAST_SAMPLES or time.perf_counter() < start + seconds:
            session.run(batches[count % len(batches)])
            count += 1
        return start, time.perf_counter(), count

    with ThreadPoolExecutor(STREAMS) as pool:
        starts, ends, counts = zip(*pool.map(work, range(STREAMS)), strict=True)
    return sum(counts) * len(batches[0]) / (max(ends) - min(starts))


def measure_point(case: Case, point: Point, device: torch.device, seconds: float, with_host: bool) -> Result:
    """Open, check, time, close."""
    order = np.arange(2 * point.batch) % PICTURES
    batches = [case.pictures[part] for part in order.reshape(2, point.batch)]
    options = WAYS[point.way]
    if options is None:
        plain = Baseline(case, point, device)
        agreement, error = check(plain.run, case, point.batch, threads=1)
        milliseconds = take_median(plain.make_timer(batches), seconds)
        return Result(1000 * point.batch / milliseconds, None, agreement, error)
    if device.type == "cpu":
        options = {name: value for name, value in options.items() if name != "cuda_graphs"}
    built = {"precision": point.precision, "options": options, "device": str(device)}
    manifest = case.engine.model_copy(update=built)
    file = EngineFile(case.folder, manifest)
    with TorchEngine().open(file, str(device), point.batch, STREAMS) as session:
        # Several threads where no thread has to try cuDNN's kernels first.
        agreement, error = check(session.run, case, point.batch, STREAMS if point.way == "graphs" else 1)
        milliseconds = time_session(session, batches, seconds)
        host = rate_host(session, batches, seconds) if with_host else None
    return Result(1000 * point.batch / milliseconds, host, agreement, error)


def measure_ceilings(device: torch.device, precisions: Sequence[str]) -> Ceilings:
    """The fastest of ten: a square matrix product of random numbers, and a pinned copy to the device."""
    on_cpu = device.type == "cpu"
    side, size = (512, 2**20) if on_cpu else (8192, 2**28)
    rates = {}
    for precision in precisions:
        left, right = (torch.randn(side, side, device=device).to(getattr(torch, DTYPES[precision])) for _ in range(2))
        times = [time_ms(device, lambda a=left, b=right: a @ b) for _ in range(WARMUP + 10)]
        rates[precision] = 2 * side**3 / (min(times[WARMUP:]) / 1000)
    host, there = (
        torch.ones(size, dtype=torch.uint8, pin_memory=not on_cpu),
        torch.empty(size, dtype=torch.uint8, device=device),
    )
    times = [time_ms(device, lambda: there.copy_(host, non_blocking=True)) for _ in range(WARMUP + 10)]
    return Ceilings(rates, size / (min(times[WARMUP:]) / 1000))


def list_points(asked: argparse.Namespace) -> Iterator[Point]:
    """The most telling first: ResNet-50, then every network once, then what completes the table."""
    first_batches = [batch for batch in FIRST_BATCHES if batch in asked.batches]
    batches = first_batches + [batch for batch in asked.batches if batch not in first_batches]
    rest = [
        (network, precision, batch) for precision in asked.precisions for batch in batches for network in asked.networks
    ]
    top, precision = asked.networks[0], asked.precisions[0]
    first = [(top, precision, batch) for batch in first_batches]
    first += [(network, precision, first_batches[0]) for network in asked.networks if first_batches]
    for network, precision, batch in dict.fromkeys(first + rest):
        yield from (Point(network, precision, batch, way) for way in asked.ways)


def describe_row(
    point: Point, result: Result, base: Result | None, ceilings: Ceilings, case: Case, took_s: float
) -> str:
    """One line of the table."""
    speed = result.rate * case.flops
    ratio = f"{result.rate / base.rate:.2f}" if base else "-"
    host, copied = "-", "-"
    if result.host_rate is not None:
        host = f"{result.host_rate:.0f}"
        copied = f"{result.host_rate * case.pictures[0].nbytes / ceilings.copy_bytes_per_s:.1%}"
    return (
        f"{point.network:<19}{point.precision:<5}{point.batch:>5} {point.way:<9}{result.rate:>9.0f}{speed / 1e12:>8.2f}"
        f"{speed / ceilings.flops_per_s[point.precision]:>6.0%}{ratio:>7}{host:>10}{copied:>8}"
        f"{result.agreement:>7.1%}{result.error:>9.1e}{took_s:>8.1f}"
    )


def run_all(asked: argparse.Namespace, device: torch.device, ceilings: Ceilings, end: float, folder: Path) -> Tally:
    """Measure point after point, printing each, until the budget is used up."""
    tally, cases = Tally(), dict[str, Case]()
    for point in list_points(asked):
        start = time.perf_counter()
        column = (point.network, point.precision, point.way)
        if point.batch >= tally.too_large.get(column, point.batch + 1):
            continue
        if start + tally.longest_s[point.way] >= end:
            tally.left_out.append(point)
            continue
        failure = None
        try:
            case = cases.get(point.network) or make_case(point.network, folder / point.network)
            cases[point.network] = case
            result = measure_point(case, point, device, asked.seconds, point.way in asked.host)
        except Exception as error:  # One point must not cost the others: the machine is lent for minutes.
            failure = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            if "out of memory" not in failure.lower():
                traceback.print_exc(limit=-4)
        took_s = time.perf_counter() - start
        tally.longest_s[point.way] = max(tally.longest_s[point.way], took_s)
        if failure is None:
            tally.results[point] = result
            base = tally.results.get(Point(point.network, point.precision, point.batch, "baseline"))
            print(describe_row(point, result, base, ceilings, case, took_s), flush=True)
            failure = "; ".join(find_faults(point.precision, result.agreement, result.error)) or None
        elif "out of memory" in failure.lower():
            tally.too_large[column], failure = point.batch, None
            print(f"{name_point(point)} does not fit into memory", flush=True)
        if failure is not None:
            tally.failures.append(f"{name_point(point)} {failure}")
            print(f"WRONG {tally.failures[-1]}", flush=True)
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return tally


def name_point(point: Point) -> str:
    """In words of the table."""
    return f"{point.network} {point.precision} batch {point.batch} {point.way}"


def print_end(tally: Tally) -> None:
    """The best way against the baseline at each batch, the goals, and what was not measured."""
    ratios: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for point, result in tally.results.items():
        base = tally.results.get(Point(point.network, point.precision, point.batch, "baseline"))
        if base and point.way != "baseline":
            found = ratios[point.network, point.precision]
            found[point.batch] = max(found.get(point.batch, 0.0), result.rate / base.rate)
    print("\nthe engine's fastest way over the baseline, by batch")
    for (network, precision), found in ratios.items():
        cells = "  ".join(f"{batch}: {ratio:.2f}" for batch, ratio in sorted(found.items()))
        print(f"{network:<19}{precision:<5} {cells}")
    rates = [
        result.rate
        for point, result in tally.results.items()
        if (point.network, point.precision) == ("resnet50", "fp16") and point.way in ("graphs", "compiled")
    ]
    reached = f"{max(rates):.0f}" if rates else "not measured"
    print(f"\ngoal: {GOAL_RATE} images/s for resnet50 in fp16, compiled: {reached}")
    lowest = [(max(found.values()), network, precision) for (network, precision), found in ratios.items()]
    reached = "{:.2f} ({} {})".format(*min(lowest)) if lowest else "not measured"
    print(f"goal: {GOAL_RATIO} times the baseline for every network at its best batch; the lowest: {reached}")
    left_out: dict[str, list[str]] = defaultdict(list)
    for point in tally.left_out:
        left_out[f"{point.network} {point.precision} {point.way}"].append(str(point.batch))
    if left_out:
        print("left out, the budget being used up:")
    for column, batches in left_out.items():
        print(f"  {column}: batch {', '.join(batches)}")
    for failure in tally.failures:
        print(f"WRONG {failure}")


def read_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--precisions", nargs="+", choices=DTYPES, default=("fp16", "bf16"))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=tuple(WAYS))
    parser.add_argument("--host", nargs="*", choices=WAYS, default=("graphs",))
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--budget-s", type=float, default=420.0)
    parser.add_argument("--device", default="cuda:0")
    return parser.parse_args(words)


def describe_machine(device: torch.device) -> str:
    """The card and the software."""
    software = f"torch {torch.__version__}, timm {version('timm')}, Python {platform.python_version()}"
    if device.type == "cpu":
        return f"cpu, to test this file only; {software}"
    card = torch.cuda.get_device_properties(device)
    libraries = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return (
        f"{card.name}, {card.total_memory / 2**30:.0f} GiB, {card.multi_processor_count} SMs; {libraries}; {software}"
    )


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when an answer is off or a point failed."""
    began = time.perf_counter()
    asked = read_arguments(words)
    device = torch.device(asked.device)
    print(describe_machine(device))
    ceilings = measure_ceilings(device, asked.precisions)
    products = ", ".join(f"{name} {rate / 1e12:.1f} TFLOP/s" for name, rate in ceilings.flops_per_s.items())
    print(f"ceilings: matrix product {products}; pinned copy to the device {ceilings.copy_bytes_per_s / 1e9:.1f} GB/s")
    print(COLUMNS, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        tally = run_all(asked, device, ceilings, began + asked.budget_s, Path(folder))
    print_end(tally)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
