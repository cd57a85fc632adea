"""From JPEG files to a judged top-1: our evaluation beside timm's loop, the guides' three steps, and its own bound.

    python benchmarks/evaluate.py [prepare table memory] --folder WORK [--networks resnet50,…] [--seconds 700]

- prepare: make graphs, images and engines in WORK, and measure nothing; what is there is found by the others;
- table: whole-set images per second of `seatrial evaluate`, its share of 1 / (1/engine_rate +
  preprocess_seconds_per_image/cores), peak memory, seconds before and after the streaming, and the peers: timm's loop,
  OpenVINO's benchmark_app and, with --guides, the guides' steps. All take turns in every round, a few seconds each; a
  round whose share is above 1 is void and repeated, as long as --seconds for all networks together allow;
- memory: the peak of a run over ten times as many images, and the time from start to the first answer.

Stop everything else on the machine first.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from engines import rate, run_benchmark_app
from networks import HELD_OUT, OPSET, make_checkpoint, make_graphs, make_pictures
from preprocess import make_jpegs, write_as_the_guide

from seatrial.data.images import LabelledImage
from seatrial.data.labels import list_images
from seatrial.data.loading.batches import fill_row, load_batch
from seatrial.data.loading.decode_pool import fill_rows
from seatrial.data.preprocessing.input_pipeline import make_pipeline, read_pipeline
from seatrial.engines.base import EngineFile
from seatrial.engines.engine_folder import BuildSpec
from seatrial.export.spec import ExportSpec
from seatrial.machine.allocator import kept_heap
from seatrial.machine.cpu import count_cores
from seatrial.machine.environment import read_environment
from seatrial.progress import silent
from seatrial.recipes import load_recipe
from seatrial.store.measurement import Throughput
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord
from seatrial.workflow.compile import compile_graph
from seatrial.workflow.evaluate import EvaluateSpec, evaluate_engine
from seatrial.workflow.export import export_checkpoint

BATCH, STREAMS = 4, 4
"""Where openvino is fastest on two cores (benchmarks/engines.py)."""
DISTINCT = 512


@dataclass(frozen=True)
class Bench:
    """What was asked, and the files that were made."""

    asked: argparse.Namespace
    images: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.asked.folder

    @property
    def labels(self) -> Path:
        return self.folder / f"{self.name}-labels.txt"


def build(bench: Bench, label: str, fused: bool = True) -> EngineFile:
    """An engine for the network, compiled or found."""
    engine, _, precision = label.partition(" ")
    graph = make_graphs(bench.name, bench.folder)["int8" if precision == "int8" else "fp32"]
    if not fused:
        graph = bench.folder / f"{bench.name}-floats.onnx"
        checkpoint = make_checkpoint(bench.name, bench.folder)
        pictures = make_pictures(bench.folder / "pictures")[:HELD_OUT]
        spec = ExportSpec(opset=OPSET, fuse=False)
        export_checkpoint(load_recipe(bench.name), checkpoint, graph, spec, pictures, silent)
    sizes = (BATCH,) if engine == "openvino" else ()
    folder = bench.folder / f"evaluate-{graph.stem}-{label.replace(' ', '-')}"
    return compile_graph(graph, BuildSpec(engine, precision, batch_sizes=sizes), folder, silent)


def centre_weights(name: str, folder: Path) -> None:
    """Give the network's classifier a bias under which pictures fall into different classes.

    Weights of a rule alone prefer one class so much that every picture gets it, and nothing could be lost.
    """
    done = folder / f"{name}-centred"
    if done.exists():
        return
    import torch
    from safetensors.torch import load_file, save_file

    from seatrial.models.build import build_network

    recipe, checkpoint = load_recipe(name), make_checkpoint(name, folder)
    weights = load_file(checkpoint)
    network = build_network(recipe.network).eval()
    network.load_state_dict(weights)
    pipeline = make_pipeline(recipe)
    pixels = load_batch(make_pictures(folder / "pictures")[:HELD_OUT], pipeline)
    with torch.inference_mode():
        logits = network(torch.from_numpy(pipeline.finish(pixels)))
    bias = next(key for key in ("fc.bias", "classifier.bias") if key in weights)
    save_file({**weights, bias: weights[bias] - logits.mean(0)}, checkpoint)
    done.touch()


def make_labels(bench: Bench) -> None:
    """Label each image with what torch in fp32 answers, so that top-1 is the share of answers that survived."""
    if bench.labels.exists():
        return
    paths = list_images(bench.images)
    images = [LabelledImage(path.name, path, 0) for path in paths[:DISTINCT]]
    out = bench.folder / f"{bench.name}-torch"
    file = build(bench, "torch fp32")
    evaluate_engine(file.folder, EvaluateSpec(images), out)
    found = Predictions.load(out / f"{file.folder.name}.parquet")
    first = dict(zip(found.ids, found.classes[:, 0], strict=True))
    names = [path.name for path in paths]
    lines = [f"{name} {first[names[index % DISTINCT]]}\n" for index, name in enumerate(names)]
    bench.labels.write_text("".join(lines))


@dataclass(frozen=True)
class Ours:
    """One evaluation in a process of its own."""

    record: AccuracyRecord
    pace: Throughput
    first_s: float
    """From the start of the process to the first prediction."""
    around_s: float
    """From its start to its end without what `pace` counts: everything but the streaming."""


def run_ours(bench: Bench, file: EngineFile, *more: str) -> Ours:
    """Evaluate as a user would."""
    out = bench.folder / "ours"
    shutil.rmtree(out, ignore_errors=True)
    words = [sys.executable, "-m", "seatrial", "evaluate", str(file.folder), "--images", str(bench.images)]
    words += ["--labels", str(bench.labels), "--output", str(out), "--batch-size", str(BATCH)]
    start, opened = time.perf_counter(), 0.0
    words += ["--streams", str(STREAMS), *more]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            opened = opened or ("decode" in line) * (time.perf_counter() - start)
    took = time.perf_counter() - start
    name = file.folder.name
    pace = Throughput.load(out / f"{name}.throughput.json")
    record = AccuracyRecord.load(out / f"{name}.json")
    return Ours(record, pace, opened + pace.first_prediction_s, took - pace.wall_s)


def measure_preprocess(file: EngineFile, paths: list[Path], seconds: float) -> float:
    """Seconds of one core for an image: read, decoded, resized, cropped, into a batch that is used again."""
    pipeline = read_pipeline(file.manifest.graph)
    rows = np.empty((BATCH, *pipeline.shape), np.uint8)
    images = [LabelledImage(path.name, path, 0) for path in paths]
    fill = partial(fill_row, pipeline=pipeline)
    count, begun = 0, time.perf_counter()
    with kept_heap():
        while (took := time.perf_counter() - begun) < seconds:
            at = count % (len(images) - BATCH + 1)
            fill_rows(rows, images[at : at + BATCH], fill)
            count += BATCH
    return took / count


def run_timm(bench: Bench, count: int) -> tuple[float, float]:
    """Images per second and top-1 of timm's loader and validation loop, in a fresh process."""
    words = [sys.executable, __file__, "timm", "--folder", str(bench.folder), "--networks", bench.name]
    told = subprocess.run([*words, "--images", str(count)], capture_output=True, text=True, check=True).stdout
    found = json.loads(told.splitlines()[-1])
    return found["images_per_s"], found["top1"]


def validate_with_timm(bench: Bench, count: int) -> None:
    """timm's validate.py in short: its loader, bf16 autocast, channels_last; the first batch is not timed, as there."""
    import torch
    from timm.data import ImageDataset, create_loader

    from seatrial.models.build import build_network

    recipe = load_recipe(bench.name)
    network = build_network(recipe.network).eval().to(memory_format=torch.channels_last)
    from safetensors.torch import load_file

    network.load_state_dict(load_file(make_checkpoint(bench.name, bench.folder)))
    links = bench.folder / f"timm-{count}" / "all"
    if not links.exists():
        links.mkdir(parents=True)
        for path in list_images(bench.images)[:count]:
            (links / path.name).hardlink_to(path)
    mean, std = recipe.normalisation
    size = 32
    loader = create_loader(
        ImageDataset(str(links.parent)), (3, 224, 224), size, use_prefetcher=False, interpolation="bilinear",
        mean=mean, std=std, num_workers=count_cores(), crop_pct=224 / 256, pin_memory=False,
    )  # fmt: skip
    answers, begun, timed = [], 0.0, 0
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        for pixels, _ in loader:
            answers.append(network(pixels.contiguous(memory_format=torch.channels_last)).argmax(1))
            timed += len(pixels) if begun else 0
            begun = begun or time.perf_counter()
    seconds = time.perf_counter() - begun
    labels = dict(line.split() for line in bench.labels.read_text().splitlines())
    names = [Path(path).name for path in loader.dataset.filenames()]
    right = sum(int(labels[name]) == int(a) for name, a in zip(names, torch.cat(answers), strict=True))
    print(json.dumps({"images_per_s": timed / seconds, "top1": right / len(names)}))


def run_guides(bench: Bench, file: EngineFile, count: int) -> float:
    """Images per second of the guides' three steps: float bins by their script, the engine on bins, answers scored."""
    place = bench.folder / "guide"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    labels = place / "labels.txt"
    lines = bench.labels.read_text().splitlines(keepends=True)
    labels.write_text("".join(lines[:count]))
    start = time.perf_counter()
    write_as_the_guide(list_images(bench.images)[:count], place / "bins")
    ours = [sys.executable, "-m", "seatrial"]
    infer = ["infer", str(file.folder), "--input", str(place / "bins"), "--output", str(place), "--outfmt", "TXT"]
    subprocess.run([*ours, *infer, "--output-dirname", "answers"], check=True, capture_output=True)
    score = ["score", str(place / "answers"), str(labels), str(place), "result.json"]
    subprocess.run([*ours, *score], check=True, capture_output=True)
    return count / (time.perf_counter() - start)


@dataclass(frozen=True)
class Round:
    """What one round measured of one engine, images per second but for `around_s`."""

    engine: float
    preprocess: float
    """Of one core."""
    app: float
    """OpenVINO's own tool."""
    timm: float
    ours: float
    around_s: float
    peak_mib: float

    @property
    def bound(self) -> float:
        """The engine's work and the decoding, one after the other on the same cores."""
        return 1 / (1 / self.engine + 1 / (self.preprocess * count_cores()))

    @property
    def share(self) -> float:
        """Of the bound. Above 1 the machine changed its pace within the round, which is void."""
        return self.ours / self.bound


def measure_round(bench: Bench, file: EngineFile, paths: list[Path], timm: float) -> Round:
    """Engine, preprocessing, OpenVINO's tool and the streaming, each about as long, one right after the other."""
    seconds = bench.asked.slice
    engine = rate(file, BATCH, STREAMS, seconds)
    preprocess = 1 / measure_preprocess(file, paths, seconds / 2)
    app = run_benchmark_app(file.pick(BATCH)[0], "bf16", seconds)
    alone = Round(engine, preprocess, app, timm, 0, 0, 0)
    ours = run_ours(bench, file, "--fake-images", str(max(100, round(alone.bound * seconds))))
    peak = ours.pace.peak_rss_bytes / 2**20
    return replace(alone, ours=ours.pace.images_per_s, around_s=ours.around_s, peak_mib=peak)


def print_table(bench: Bench, paths: list[Path], until: float) -> None:
    """One network: ours in bf16 and int8 beside its bound and the peers, medians over the rounds that are not void.

    Args:
        until: no round is begun that would hardly end by then, by `time.monotonic`.
    """
    asked = bench.asked
    files = {label: build(bench, label) for label in ("openvino bf16", "openvino int8")}
    floats = build(bench, "openvino bf16", fused=False) if asked.guides else None
    rows: dict[str, list[Round]] = {label: [] for label in files}
    timm, guides, longest = [], [], 0.0
    tops = {label: run_ours(bench, file).record.accuracy() for label, file in files.items()}
    while time.monotonic() + longest < until and min(map(count_valid, rows.values())) < asked.repeats:
        begun = time.monotonic()
        timm.append(run_timm(bench, asked.peer_images))
        if floats is not None:
            guides.append(run_guides(bench, floats, asked.peer_images))
        for label, file in files.items():
            if count_valid(rows[label]) < asked.repeats:
                rows[label].append(measure_round(bench, file, paths, timm[-1][0]))
        longest = max(longest, time.monotonic() - begun)
    theirs = statistics.median(found[0] for found in timm)
    print(f"{bench.name}: medians of the rounds that are not void")
    print(f"  timm's loop, bf16, channels_last: {theirs:.1f} images/s, top-1 {timm[-1][1]:.2%}")
    if guides:
        print(f"  the guides' three steps, openvino bf16: {statistics.median(guides):.1f} images/s")
    for label, rounds in rows.items():
        print(f"  {label}, top-1 {tops[label]:.2%}: {describe_rounds(rounds)}", flush=True)


def count_valid(rounds: list[Round]) -> int:
    """Rounds within which the machine kept its pace."""
    return sum(each.share <= 1 for each in rounds)


def describe_rounds(rounds: list[Round]) -> str:
    """The medians of an engine's rounds."""
    shares = " ".join(f"{each.share:.2f}" for each in rounds)
    valid = [each for each in rounds if each.share <= 1]
    if not valid:
        return f"all {len(rounds)} rounds are void ({shares})"
    m = {key: statistics.median(getattr(each, key) for each in valid) for key in (*vars(valid[0]), "bound", "share")}
    app, timm = (statistics.median(each.ours / getattr(each, peer) for each in valid) for peer in ("app", "timm"))
    return (
        f"{m['ours']:.1f} images/s, {timm:.1f} x timm; engine alone {m['engine']:.1f}, preprocessing "
        f"{m['preprocess']:.0f} a core, bound {m['bound']:.1f}: efficiency {m['share']:.2f} ({shares}; "
        f"{len(rounds) - len(valid)} void); benchmark_app {m['app']:.1f}: {app:.2f} of it; "
        f"start and end {m['around_s']:.1f} s; peak {m['peak_mib']:.0f} MiB"
    )


def print_memory(bench: Bench) -> None:
    """Peak memory of a short run and one of ten times as many images, and the time to the first answer."""
    file = build(bench, "openvino int8")
    for count in (bench.asked.memory_images // 10, bench.asked.memory_images):
        ours = run_ours(bench, file, "--fake-images", str(count))
        print(
            f"  {bench.name} {count} images: peak {ours.pace.peak_rss_bytes / 2**20:.0f} MiB, "
            f"{ours.pace.images_per_s:.1f} images/s, first answer {ours.first_s:.2f} s after the start", flush=True
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["prepare", "table", "memory", "timm", []], default=[])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--networks", default="resnet50,spnasnet_100")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--peer-images", type=int, default=160)
    parser.add_argument("--memory-images", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=5, help="rounds that are not void")
    parser.add_argument("--slice", type=float, default=4, help="seconds of each measurement of a round")
    parser.add_argument("--seconds", type=float, default=700, help="that the tables may take")
    parser.add_argument("--guides", action="store_true")
    asked = parser.parse_args()
    asked.what = asked.what or ["table", "memory"]
    asked.folder.mkdir(parents=True, exist_ok=True)
    names = asked.networks.split(",")
    images = asked.folder / "jpegs"
    if asked.what == ["timm"]:
        validate_with_timm(Bench(asked, images, names[0]), asked.images)
        return
    if not images.exists():
        make_jpegs(images, asked.images)
    environment = read_environment()
    print(f"{environment.cpu}, {environment.cores} cores, {', '.join(environment.cpu_flags)}", flush=True)
    benches = [Bench(asked, images, name) for name in names]
    for bench in benches:
        prepare(bench)
    begun = time.monotonic()
    for index, bench in enumerate(benches, start=1):
        if "table" in asked.what:
            print_table(bench, list_images(images), begun + asked.seconds * index / len(benches))
        if "memory" in asked.what:
            print_memory(bench)


def prepare(bench: Bench) -> None:
    """Make what is measured, or find it made."""
    centre_weights(bench.name, bench.folder)
    make_labels(bench)
    for label in ("openvino bf16", "openvino int8"):
        build(bench, label)


if __name__ == "__main__":
    main()
