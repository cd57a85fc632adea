"""`seatrial compile`, `evaluate` and `bench`: a graph to an engine, its accuracy and its speed."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seatrial.bench.environment import machine_hash, read_environment
from seatrial.bench.measure import Limits
from seatrial.bench.sweep import SweepSpec, sweep
from seatrial.data.batches import load_batch
from seatrial.data.labels import LabelledImage, hash_listing, list_images
from seatrial.data.preprocess import hash_preprocess
from seatrial.engines import ENGINES, get_engine
from seatrial.engines.base import EngineFile, check_device, read_engine
from seatrial.engines.build import BuildSpec, build_engine, find_built, read_graph_manifest
from seatrial.errors import DataError, EngineError, SeatrialError, UsageError
from seatrial.evaluation.pipeline import Evaluated, evaluate_session
from seatrial.evaluation.predictions import Predictions, check_same_images
from seatrial.evaluation.statistics import compare_answers, wilson_interval
from seatrial.metrics.topk import TopK
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.store.files import hash_file, hash_value, replacing
from seatrial.store.records import AccuracyRecord, Comparison, Measurement
from seatrial.strict import suggest

BENCH_PIXELS_BYTES = 32 * 2**20
"""Prepared images kept for measuring: what fits in this, at most `BENCH_IMAGES`."""
BENCH_IMAGES = 256


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine and a precision, written `NAME` or `NAME:PRECISION`."""

    engine: str
    precision: str
    label: str
    """Names its folder and its records."""


def parse_engine(text: str) -> EngineChoice:
    """Read `openvino:bf16`; without a precision it is fp32.

    Raises:
        UsageError: there is no such engine.
    """
    name, _, precision = text.strip().partition(":")
    if name not in ENGINES:
        raise UsageError(f"there is no engine '{name}'", suggest(name, list(ENGINES)))
    return EngineChoice(name, precision or "fp32", f"{name}-{precision}" if precision else name)


def check_engine(choice: EngineChoice, device: str = "cpu") -> None:
    """Refuse an engine that is not installed, or a precision that it cannot run here, before any work is done.

    Raises:
        EngineError: lists what there is.
    """
    has = get_engine(choice.engine).probe()
    check_device(device, has)
    if choice.precision not in has.precisions:
        raise EngineError(
            f"{choice.engine} on this machine cannot run {choice.precision}", "it can run " + ", ".join(has.precisions)
        )


def compile_graph(graph: Path, spec: BuildSpec, output: Path, progress: Progress = silent) -> EngineFile:
    """Compile into the folder `output`, or find it done.

    Raises:
        UsageError: no such graph, or an option that the engine does not have.
        EngineError: the engine is missing, or gave something else than was asked.
    """
    manifest = read_graph_manifest(graph)
    check_engine(EngineChoice(spec.engine, spec.precision, output.name), spec.device)
    version = get_engine(spec.engine).probe().version
    key = hash_value(
        {
            "stage": "compile/1",
            "graph": manifest.sha256,
            "recipe": manifest.recipe,
            "engine": [spec.engine, version, spec.precision, spec.device, list(spec.batch_sizes), spec.options],
            "machine": machine_hash(read_environment()),
        }
    )
    found = find_built(output, key)
    if found is not None:
        progress(Update("compile", note=f"already compiled: {output.name}"))
        return found
    built = build_engine(graph, spec, output, key)
    executed = ", ".join(f"{count} layers in {name}" for name, count in sorted(built.manifest.executed.items()))
    progress(Update("compile", note=f"{output.name}: {spec.engine} {version}{', ' + executed if executed else ''}"))
    return built


@dataclass(frozen=True, slots=True)
class EvaluateSpec:
    """What to evaluate on."""

    images: Sequence[LabelledImage]
    batch_size: int = 16
    reference: Path | None = None
    """Predictions (Parquet) to hold the answers against."""


def evaluate_engine(folder: Path, spec: EvaluateSpec, output: Path, progress: Progress = silent) -> AccuracyRecord:
    """Run a labelled set through an engine and write `output/NAME.json` and `.parquet`, or find them written.

    Raises:
        UsageError: the folder is no engine folder.
        DataError: an image is no image, or the engine was built for another preprocessing.
        ParityError: an answer is not a number, or all are the same.
        NotComparable: the reference's predictions are of other images.
    """
    file = read_engine(folder)
    recipe = Recipe.read(file.manifest.graph.recipe, str(folder))
    if file.manifest.graph.preprocess_hash != hash_preprocess(recipe):
        raise DataError(f"{folder} was built for another preprocessing", "export and compile it again")
    name = folder.name
    key = _evaluation_key(file, spec)
    found = _find_evaluated(output / f"{name}.json", key)
    if found is None:
        engine = get_engine(file.manifest.engine)
        with engine.open(file, file.manifest.device, spec.batch_size) as session:
            evaluated = evaluate_session(session, spec.images, recipe, spec.batch_size, progress)
        evaluated.predictions.save(output / f"{name}.parquet")
        record = _describe(file, name, key, evaluated, output / f"{name}.parquet")
    else:
        record = found
    versus = None if spec.reference is None else compare_with(spec.reference, output / record.predictions, name)
    record = record.model_copy(update={"versus": versus})
    record.save(output / f"{name}.json")
    shown = f"{name}: top-1 {record.accuracy():.2%} of {record.images} images, {record.images_per_s:.0f} images/s"
    progress(Update("evaluate", note=f"already evaluated: {name}" if found else shown))
    return record


def compare_with(reference: Path, predictions: Path, name: str) -> Comparison:
    """Hold predictions against a reference's, image by image.

    Raises:
        NotComparable: they are of other images or labels.
    """
    a, b = Predictions.load(reference), Predictions.load(predictions)
    check_same_images(a, b, (reference.stem, name))
    return compare_answers(a.classes[:, 0], b.classes[:, 0], a.labels, reference.stem)


def _evaluation_key(file: EngineFile, spec: EvaluateSpec) -> str:
    return hash_value(
        {
            "stage": "evaluate/1",
            "engine": [file.manifest.key, [m.sha256 for m in file.manifest.files]],
            "images": hash_listing(spec.images),
            "batch_size": spec.batch_size,
            "machine": machine_hash(read_environment()),
        }
    )


def _find_evaluated(path: Path, key: str) -> AccuracyRecord | None:
    with contextlib.suppress(SeatrialError):
        record = AccuracyRecord.load(path)
        predictions = path.parent / record.predictions
        if record.key == key and predictions.is_file() and hash_file(predictions) == record.predictions_sha256:
            return record
    return None


def _describe(file: EngineFile, name: str, key: str, evaluated: Evaluated, predictions: Path) -> AccuracyRecord:
    manifest, found = file.manifest, evaluated.predictions
    counts = TopK.of(found.classes, found.labels)
    return AccuracyRecord(
        key=key,
        name=name,
        engine=manifest.engine,
        device=manifest.device,
        precision=manifest.precision,
        executed=manifest.executed,
        recipe=str(manifest.graph.recipe["name"]),
        checkpoint_sha256=manifest.graph.checkpoint_sha256,
        graph_sha256=manifest.graph.sha256,
        preprocess_hash=manifest.graph.preprocess_hash,
        images=counts.count,
        classes=evaluated.classes,
        hits=counts.hits,
        top1_interval=wilson_interval(counts.hits[0], counts.count),
        batch_size=evaluated.batch_size,
        workers=evaluated.workers,
        wall_s=evaluated.wall_s,
        images_per_s=counts.count / evaluated.wall_s,
        predictions=predictions.name,
        predictions_sha256=hash_file(predictions),
        environment=read_environment(),
    )


@dataclass(frozen=True, slots=True)
class BenchSpec:
    """What to measure."""

    batch_sizes: tuple[int, ...] = (1, 4, 8, 16)
    duration_s: float = 10.0
    min_samples: int = 50
    processes: int = 1
    streams: int = 1
    warmup_budget_s: float = 10.0
    """A machine that never settles is measured after this, and the record says so."""
    images: Path | None = None
    """A folder of images or a `.npy` of prepared ones; None feeds random bytes."""


def bench_engine(folder: Path, spec: BenchSpec, output: Path, progress: Progress = silent) -> Measurement:
    """Measure an engine and write the record to `output`, or find it written by this machine.

    Raises:
        UsageError: the folder is no engine folder.
        EngineError: a measuring process died.
    """
    file = read_engine(folder)
    environment = read_environment()
    key = hash_value(
        {
            "stage": "bench/1",
            "engine": [file.manifest.key, [m.sha256 for m in file.manifest.files]],
            "spec": [
                spec.batch_sizes,
                spec.duration_s,
                spec.min_samples,
                spec.processes,
                spec.streams,
                spec.warmup_budget_s,
            ],
            "images": hash_file(spec.images) if spec.images else None,
            "machine": machine_hash(environment),
            "versions": environment.versions,
        }
    )
    with contextlib.suppress(SeatrialError):
        found = Measurement.load(output)
        if found.key == key:
            progress(Update("bench", note=f"already measured: {folder.name}"))
            return found
    limits = Limits(
        warmup_runs=6,
        warmup_s=0.3,
        warmup_budget_s=spec.warmup_budget_s,
        duration_s=spec.duration_s,
        min_samples=spec.min_samples,
    )
    measured = sweep(
        folder,
        SweepSpec(
            batch_sizes=spec.batch_sizes,
            streams=(spec.streams,),
            images=spec.images,
            limits=limits,
            processes=spec.processes,
        ),
        progress,
        key,
    )
    measured.save(output)
    return measured


def prepare_folder(engine: Path, images: Path, output: Path) -> Path:
    """Prepare the images of a folder for measuring an engine; they go beside `output`.

    Raises:
        DataError: there is no such folder, or it holds no images.
    """
    recipe = Recipe.read(read_engine(engine).manifest.graph.recipe, str(engine))
    found = list_images(images)
    if not found:
        raise DataError(f"image folder {images} holds no images")
    return prepare_pixels(found, recipe, output.with_suffix(".npy"))


def prepare_pixels(images: Sequence[Path], recipe: Recipe, output: Path) -> Path:
    """Store images as the network sees them, uint8 (n, height, width, 3), for measuring processes to read."""
    height, width = recipe.input_size
    count = min(len(images), BENCH_IMAGES, max(1, BENCH_PIXELS_BYTES // (height * width * 3)))
    pixels = load_batch(images[:count], recipe)
    with replacing(output) as temporary, temporary.open("wb") as file:
        np.save(file, pixels)
    return output
