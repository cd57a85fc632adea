"""From JPEG files to a judged top-1: our evaluation beside timm's loop, the guides' three steps, and its own bound.

    python benchmarks/evaluate.py [table memory] --folder WORK [--networks resnet50,spnasnet_100] [--images 1024]

- table: whole-set images per second of `seatrial evaluate`, its share of 1 / (1/engine_rate +
  preprocess_seconds_per_image/cores) with both measured in the same round, peak memory, and the two peers;
- memory: the peak of a run over ten times as many images, and the time from start to the first answer.

Graphs and images are made in WORK at the first run and found there later. Stop everything else on the machine first.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from engines import rate
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


def run_ours(bench: Bench, file: EngineFile, *more: str) -> tuple[AccuracyRecord, Throughput, float]:
    """One evaluation in a fresh process; the last figure is seconds from its start to the first answer."""
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
    name = file.folder.name
    pace = Throughput.load(out / f"{name}.throughput.json")
    return AccuracyRecord.load(out / f"{name}.json"), pace, opened + pace.first_prediction_s


def measure_preprocess(file: EngineFile, paths: list[Path]) -> float:
    """Seconds of one core for an image: read, decoded, resized, cropped."""
    pipeline = read_pipeline(file.manifest.graph)
    rows = np.empty((len(paths), *pipeline.shape), np.uint8)
    images = [LabelledImage(path.name, path, 0) for path in paths]
    return fill_rows(rows, images, partial(fill_row, pipeline=pipeline)).seconds / len(paths)


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


def print_table(bench: Bench, paths: list[Path]) -> None:
    """One network: ours in bf16 and int8 beside its bound and the peers, medians over the rounds."""
    asked = bench.asked
    files = {label: build(bench, label) for label in ("openvino bf16", "openvino int8")}
    floats = build(bench, "openvino bf16", fused=False)
    rows: dict[str, list[dict[str, float]]] = {label: [] for label in files}
    timm, guides, tops = [], [], {}
    for _ in range(asked.repeats):
        found = run_timm(bench, asked.peer_images)
        timm.append(found[0])
        tops["timm"] = found[1]
        guides.append(run_guides(bench, floats, asked.peer_images))
        for label, file in files.items():
            engine = rate(file, BATCH, STREAMS, asked.seconds)
            seconds = measure_preprocess(file, paths[:256])
            record, pace, _ = run_ours(bench, file)
            bound = 1 / (1 / engine + seconds / count_cores())
            tops[label] = record.accuracy()
            rows[label].append({
                "engine": engine, "preprocess": 1 / seconds, "bound": bound, "ours": pace.images_per_s,
                "efficiency": pace.images_per_s / bound, "over timm": pace.images_per_s / timm[-1],
                "over guides": pace.images_per_s / guides[-1], "peak": pace.peak_rss_bytes / 2**20,
            })  # fmt: skip
    print(f"{bench.name}: {len(paths)} images, medians of {asked.repeats} rounds")
    print(f"  timm's loop, bf16, channels_last: {statistics.median(timm):.1f} images/s, top-1 {tops['timm']:.2%}")
    print(f"  the guides' three steps, openvino bf16: {statistics.median(guides):.1f} images/s")
    for label, rounds in rows.items():
        m = {key: statistics.median(row[key] for row in rounds) for key in rounds[0]}
        shares = " ".join(f"{row['efficiency']:.2f}" for row in rounds)
        print(
            f"  {label}: {m['ours']:.1f} images/s ({m['over timm']:.1f} x timm, {m['over guides']:.1f} x guides), "
            f"top-1 {tops[label]:.2%}; engine alone {m['engine']:.1f}, preprocessing {m['preprocess']:.0f} a core, "
            f"bound {m['bound']:.1f}: efficiency {m['efficiency']:.2f} ({shares}); peak {m['peak']:.0f} MiB",
            flush=True,
        )


def print_memory(bench: Bench) -> None:
    """Peak memory of a short run and one of ten times as many images, and the time to the first answer."""
    file = build(bench, "openvino int8")
    for count in (bench.asked.memory_images // 10, bench.asked.memory_images):
        _, pace, first_s = run_ours(bench, file, "--fake-images", str(count))
        print(
            f"  {bench.name} {count} images: peak {pace.peak_rss_bytes / 2**20:.0f} MiB, "
            f"{pace.images_per_s:.1f} images/s, first answer {first_s:.2f} s after the start", flush=True
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["table", "memory", "timm", []], default=[])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--networks", default="resnet50,spnasnet_100")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--peer-images", type=int, default=256)
    parser.add_argument("--memory-images", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
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
    paths = list_images(images)
    environment = read_environment()
    print(f"{environment.cpu}, {environment.cores} cores, {', '.join(environment.cpu_flags)}", flush=True)
    for name in names:
        bench = Bench(asked, images, name)
        centre_weights(name, asked.folder)
        make_labels(bench)
        if "table" in asked.what:
            print_table(bench, paths)
        if "memory" in asked.what:
            print_memory(bench)


if __name__ == "__main__":
    main()
