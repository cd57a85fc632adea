"""Engines beside the vendors' own tools, in one run; everything on two cores unless the machine has more.

    python benchmarks/engines.py [table vendors overhead tune] --folder WORK [--networks resnet50,…] [--seconds 4]

- table: five networks in every precision of every CPU engine, each at its best of a few settings, over eager fp32;
- vendors: openvino beside `benchmark_app -hint throughput`, onnxruntime beside a bare session loop;
- overhead: what our sessions add to a call at batch 1, on a graph that computes next to nothing;
- tune: `compile --tune` against every setting measured in full.

Graphs are made in WORK at the first run and found there later. Stop everything else on the machine first.
"""

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from networks import NETWORKS, make_graphs

from seatrial.bench.measure import Limits
from seatrial.bench.sweep import run_worker
from seatrial.bench.worker import Job
from seatrial.engines import get_engine
from seatrial.engines.base import EngineFile
from seatrial.engines.engine_folder import BuildSpec
from seatrial.errors import SeatrialError
from seatrial.machine.cpu import count_cores
from seatrial.machine.environment import read_environment
from seatrial.metrics.latency import Latency
from seatrial.progress import silent
from seatrial.store.records import GraphManifest
from seatrial.store.tuning import Setting, Trial
from seatrial.workflow.compile import compile_graph
from seatrial.workflow.tune import Tuner, describe_trial, list_series

TUNED_SIZES = (1, 2, 4, 8, 16)
ASKED: dict[str, tuple[str, str, dict[str, str]]] = {
    "torch eager fp32": ("torch", "fp32", {}),
    "torch eager bf16": ("torch", "bf16", {}),
    "torch compiled bf16": ("torch", "bf16", {"mode": "compiled"}),
    "onnxruntime fp32": ("onnxruntime", "fp32", {}),
    "onnxruntime int8": ("onnxruntime", "int8", {}),
    "openvino fp32": ("openvino", "fp32", {}),
    "openvino bf16": ("openvino", "bf16", {}),
    "openvino int8": ("openvino", "int8", {}),
}
SETTINGS = ((16, 1), (4, 4))
"""Batch size and concurrent callers that are tried."""
Place = tuple[int, int, int | None]
"""Batch size, streams, threads."""
RATE = re.compile(r"Throughput:\s+([0-9.]+) FPS")


def build(name: str, label: str, graphs: dict[str, Path], folder: Path, sizes: tuple[int, ...]) -> EngineFile:
    """Compile one network for one engine, or find it done."""
    engine, precision, options = ASKED[label]
    graph = graphs["int8" if precision == "int8" else "fp32"]
    spec = BuildSpec(engine, precision, batch_sizes=sizes, options=options)
    return compile_graph(graph, spec, folder / f"{name}-{label.replace(' ', '-')}", silent)


def rate(file: EngineFile, batch_size: int, streams: int, seconds: float) -> float:
    """Images per second of one setting in a fresh process."""
    limits = Limits(warmup_runs=2, warmup_s=0.5, warmup_budget_s=2, duration_s=seconds, min_samples=3)
    job = Job(file=file, device="cpu", batch_size=batch_size, streams=streams, limits=limits, check=False)
    point = run_worker(job)
    return Latency.of(point.durations_ms, batch_size, streams).images_per_s


def print_table(asked: argparse.Namespace) -> None:
    """Five networks in every precision."""
    print(f"{'network':<20}{'engine':<21}{'images/s':>9}{'batch':>6}{'callers':>8}{'x eager':>9}  answers against fp32")
    for name in asked.networks:
        graphs = make_graphs(name, asked.folder)
        base = None
        for label in asked.engines:
            try:
                file = build(name, label, graphs, asked.folder, tuple(sorted({size for size, _ in SETTINGS})))
                found = {setting: rate(file, *setting, asked.seconds) for setting in SETTINGS}
            except SeatrialError as error:
                print(f"{name:<20}{label:<21} {error}", flush=True)
                continue
            (size, streams), best = max(found.items(), key=lambda entry: entry[1])
            base = base or best
            told = describe_answers(graphs["int8"]) if label.endswith("int8") else ""
            print(f"{name:<20}{label:<21}{best:>9.1f}{size:>6}{streams:>8}{best / base:>9.2f}  {told}", flush=True)


def describe_answers(graph: Path) -> str:
    """How an int8 graph answers where fp32 answers too, from its manifest."""
    moved = GraphManifest.load(graph.with_name(graph.name + ".json")).parity[-1]
    return (
        f"{moved.images - moved.top1_disagreements} of {moved.images} first classes, off by {moved.relative_error:.1%}"
    )


def run_benchmark_app(model: Path, precision: str, seconds: float) -> float:
    """OpenVINO's own tool at its throughput hint."""
    words = [str(Path(sys.executable).with_name("benchmark_app")), "-m", str(model), "-d", "CPU", "-hint", "throughput"]
    words += ["-t", str(int(seconds)), "-infer_precision", precision]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(RATE.findall(ran.stdout)[-1])


def print_vendors(asked: argparse.Namespace) -> None:
    """The vendors' own tools and ours, one after the other, several times."""
    print("openvino beside benchmark_app -hint throughput: images/s, medians of", asked.repeats)
    graphs = make_graphs("resnet50", asked.folder)
    for label, hint in (("openvino bf16", "bf16"), ("openvino int8", "bf16")):
        file = build("resnet50", label, graphs, asked.folder, (1, 4))
        for size in (1, 4):
            model, _ = file.pick(size)
            pairs = []
            for _ in range(asked.repeats):
                theirs = run_benchmark_app(model, hint, asked.seconds)
                pairs.append((theirs, *(rate(file, size, streams, asked.seconds) for streams in (1, 2, 4))))
            theirs, one, two, four = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"  {label}, batch {size}: benchmark_app {theirs:.1f}, ours {one:.1f} with 1 caller,", end=" ")
            print(f"{two:.1f} with 2, {four:.1f} with 4: {max(one, two, four) / theirs:.2f}", flush=True)
    print("onnxruntime beside a bare session loop: seconds for the same runs, alternating")
    file = build("resnet50", "onnxruntime fp32", graphs, asked.folder, (8,))
    ratio = compare_with_bare(file, 8, 12)
    print(f"  resnet50 fp32, batch 8: ours takes {ratio:.3f} of the bare loop's time")


def compare_with_bare(file: EngineFile, size: int, runs: int) -> float:
    """Our time over that of a bare loop in onnxruntime with the same settings: the median of alternating runs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count_cores()
    bare = onnxruntime.InferenceSession(str(file.pick(size)[0]), options, providers=["CPUExecutionProvider"])
    batch = np.random.default_rng(0).integers(0, 256, (size, *file.manifest.input.shape[1:]), dtype=np.uint8)
    with get_engine("onnxruntime").open(file, "cpu", size) as session:
        times = [(clock(lambda: session.run(batch)), clock(lambda: run_bare(bare, batch))) for _ in range(runs)]
    return statistics.median(ours / theirs for ours, theirs in times[2:])


def run_bare(session: Any, batch: np.ndarray) -> Any:
    """What the shortest script would do."""
    return session.run(None, {session.get_inputs()[0].name: batch})[0]


def clock(call: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def print_overhead(asked: argparse.Namespace) -> None:
    """What our sessions add to a call."""
    print(
        "added to a call at batch 1, on the spnasnet_100 graph cut down to its preprocessing and a mean: microseconds"
    )
    graph = cut_down(make_graphs("spnasnet_100", asked.folder)["fp32"], asked.folder / "little.onnx")
    batch = np.zeros((1, 224, 224, 3), np.uint8)
    for name in ("onnxruntime", "openvino"):
        file = compile_graph(graph, BuildSpec(name, batch_sizes=(1,)), asked.folder / f"little-{name}", silent)
        with get_engine(name).open(file, "cpu", 1) as session:
            bare = find_bare(session, batch)
            ours, theirs = [], []
            for _ in range(3000):
                ours.append(clock(lambda: session.run(batch)))
                theirs.append(clock(bare))
        added = 1e6 * (statistics.median(ours) - statistics.median(theirs))
        print(f"  {name}: {added:.1f} (a whole call: {1e6 * statistics.median(ours):.0f})")


def find_bare(session: Any, batch: np.ndarray) -> Callable[[], object]:
    """The same session without us: the SDK's own object, called as its documentation shows."""
    inner = getattr(session, "_session", None)
    if inner is not None:
        return lambda: run_bare(inner, batch)
    request = session._model.create_infer_request()
    return lambda: request.infer([batch], share_inputs=True)


def cut_down(graph: Path, target: Path) -> Path:
    """A graph that normalises and takes a mean, with the manifest of the whole one."""
    from seatrial.store.files import hash_file

    model = onnx.load(graph)
    kept = [node for node in model.graph.node if node.name.startswith("preprocess_")]
    name = model.graph.output[0].name
    mean = onnx.helper.make_node("ReduceMean", [kept[-1].output[0]], [name], axes=[2, 3], keepdims=0)
    small = onnx.helper.make_graph(
        [*kept, mean], "little", model.graph.input, [onnx.helper.make_tensor_value_info(name, 1, ["batch", 3])],
        [weight for weight in model.graph.initializer if weight.name.startswith("preprocess_")],
    )  # fmt: skip
    onnx.save(onnx.helper.make_model(small, opset_imports=model.opset_import, ir_version=model.ir_version), target)
    manifest = GraphManifest.load(graph.with_name(graph.name + ".json"))
    output = manifest.output.model_copy(update={"shape": (None, 3)})
    little = manifest.model_copy(update={"sha256": hash_file(target), "output": output, "key": "little"})
    little.save(target.with_name(target.name + ".json"))
    return target


def print_tune(asked: argparse.Namespace) -> None:
    """The search beside every setting measured in full."""
    graphs = make_graphs("resnet50", asked.folder)
    series = list_series("cpu", TUNED_SIZES)
    for label in asked.engines:
        file = build("resnet50", label, graphs, asked.folder, TUNED_SIZES)
        searched_s, found = search(file, series, asked)
        exhaustive_s, whole = measure_all(file, series, asked)
        best = max(whole.values(), key=lambda trial: trial.images_per_s)
        same = whole[found.batch_size, found.streams, found.threads]
        print(f"{label}: searched {searched_s:.0f} s, {searched_s / exhaustive_s:.0%} of {exhaustive_s:.0f} s in full")
        print(f"  found {describe_trial(same)} when measured in full; the best is {describe_trial(best)}:", end=" ")
        print(f"{same.images_per_s / best.images_per_s:.3f}", flush=True)


def search(file: EngineFile, series: list[list[Setting]], asked: argparse.Namespace) -> tuple[float, Trial]:
    """Seconds that the search takes, and what it finds."""
    ledger = asked.folder / "trials.json"
    ledger.unlink(missing_ok=True)
    start = time.perf_counter()
    best = Tuner(file, asked.tune_seconds, ledger, silent).search(series).best
    return time.perf_counter() - start, best


def measure_all(
    file: EngineFile, series: list[list[Setting]], asked: argparse.Namespace
) -> tuple[float, dict[tuple[int, int, int | None], Trial]]:
    """Seconds that it takes to measure every setting in full, and what each gives."""
    ledger = asked.folder / "trials.json"
    ledger.unlink(missing_ok=True)
    tuner = Tuner(file, asked.tune_seconds, ledger, silent)
    start = time.perf_counter()
    trials = [tuner.measure(setting, 1.0) for settings in series for setting in settings]
    return time.perf_counter() - start, {(t.batch_size, t.streams, t.threads): t for t in trials}


def main() -> None:
    """Measure what was asked and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"table": print_table, "vendors": print_vendors, "overhead": print_overhead, "tune": print_tune}
    parser.add_argument("parts", nargs="*", default=[], choices=[*parts, []], help="default: all")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--networks", type=lambda text: text.split(","), default=NETWORKS)
    parser.add_argument("--engines", type=lambda text: text.split(","), default=list(ASKED))
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--tune-seconds", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    environment = read_environment()
    versions = ", ".join(
        f"{k} {v}" for k, v in environment.versions.items() if k in ("torch", "onnxruntime", "openvino")
    )
    print(f"{environment.cpu}, {environment.cores} cores, {' '.join(environment.cpu_flags)}; {versions}", flush=True)
    for part in asked.parts or parts:
        parts[part](asked)


if __name__ == "__main__":
    main()
