"""`seatrial bench`: an engine's speed, measured in fresh processes."""

import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seatrial.bench.inputs import read_pixels
from seatrial.bench.sweep import SweepSpec, sweep
from seatrial.data.labels import list_images
from seatrial.data.loading.batches import load_batch
from seatrial.data.preprocessing.input_pipeline import InputPipeline, read_pipeline
from seatrial.engines.base import EngineFile, read_engine
from seatrial.errors import DataError, SeatrialError
from seatrial.evaluation.guide_format import Performance, write_performance, write_summary
from seatrial.machine.environment import find_changes, machine_hash, read_environment
from seatrial.metrics.trust import find_contradiction
from seatrial.progress import Progress, Update, silent
from seatrial.results.speed import find_best, measure_speeds
from seatrial.store.files import hash_value, replacing, write_text
from seatrial.store.measurement import Measurement, Scope, Throughput
from seatrial.store.stage_cache import CachedStage

PIXELS_BYTES = 32 * 2**20
"""Prepared images kept for measuring: what fits in this, at most `MOST_IMAGES`."""
MOST_IMAGES = 256
BENCH = CachedStage("bench", "bench/2", "measured")


PROCESSES = 5
"""Fewer give an interval several times as wide as what the samples scatter (Student's t)."""


def choose_streams(folder: Path | EngineFile, streams: int | None) -> int:
    """The given streams, else those that tuning chose, else one."""
    tuning = read_engine(folder).manifest.tuning
    return streams or (1 if tuning is None else tuning.best.streams)


def bench_engine(
    folder: Path | EngineFile,
    spec: SweepSpec,
    output: Path,
    progress: Progress = silent,
    force: bool = False,
    images_hash: str | None = None,
) -> Measurement:
    """Measure an engine and write the record to `output`, or reuse the one that this machine wrote.

    Points of an attempt that was stopped are kept beside `output` and not measured again.

    Args:
        images_hash: of the labelled set that the images of `spec` were prepared from; it is noted, and nothing is
            measured again for it.

    Raises:
        SeatrialError: as `bench.sweep.sweep`.
    """
    file = read_engine(folder)
    key = _bench_key(file, spec)
    name = file.folder.name
    found = None if force else find_measured(file, spec, output, progress)
    if found is not None:
        return _note_images(found, images_hash, output)
    measured = sweep(file, spec, progress, key, output.with_name(f".{output.stem}.points"))
    measured = _doubt_change(output, measured.model_copy(update={"images_hash": images_hash}))
    measured.save(output)
    _show_best(name, measured, spec.scopes, progress)
    return measured


def find_measured(file: EngineFile, spec: SweepSpec, output: Path, progress: Progress = silent) -> Measurement | None:
    """The record at `output` if this machine wrote it of this engine and spec, timed for no less."""
    key, name = _bench_key(file, spec), file.folder.name

    def check(found: Measurement) -> Measurement | None:
        return found if _is_as_precise(found, spec.limits.precision) else None

    return BENCH.find(key, lambda: Measurement.load(output), check, progress, name)


def _is_as_precise(found: Measurement, precision: float | None) -> bool:
    """Whether each point took its whole time, or ended at an interval that is narrow enough; not a part of the key."""
    return all(point.stopped == "duration" or (point.precision or 0.0) <= (precision or 0.0) for point in found.points)


def _note_images(measured: Measurement, images_hash: str | None, output: Path) -> Measurement:
    """A measurement of the same prepared images, with the hash of the set that they come from now."""
    if images_hash in (None, measured.images_hash):
        return measured
    noted = measured.model_copy(update={"images_hash": images_hash})
    noted.save(output)
    return noted


def _show_best(name: str, measured: Measurement, scopes: Sequence[Scope], progress: Progress) -> None:
    for scope in scopes:
        best = find_best(measure_speeds(measured, scope))
        if best is not None:
            note = f"{name}: best {best.images_per_s:.1f} images/s, at batch {best.batch}"
            progress(Update("bench", note=note if scope == "host" else f"{note}, scope {scope}"))


def _doubt_change(output: Path, now: Measurement) -> Measurement:
    """Add a doubt if the record at `output` is of another machine or of other versions."""
    changes: list[str] = []
    with contextlib.suppress(SeatrialError):
        changes = find_changes(Measurement.load(output).environment, now.environment)
    if not changes:
        return now
    doubt = f"the record before was measured elsewhere ({'; '.join(changes)}): do not compare its figures with these"
    return now.model_copy(update={"doubts": (*now.doubts, doubt)})


def contradict(measured: Measurement, evaluation: Path) -> Measurement:
    """Note in the record if the evaluation of the same engine was so fast that the measurement cannot be right."""
    contradicted = None
    with contextlib.suppress(SeatrialError):
        evaluated = Throughput.load(evaluation)
        host = [s for s in measure_speeds(measured) if s.streams == 1]
        # A cluster's machines are not this one, and a larger batch may be faster by itself.
        if host and evaluated.sessions == 1 and evaluated.batch_size <= max(s.latency.batch_size for s in host):
            best = max(s.images_per_s for s in host)
            contradicted = find_contradiction(best, evaluated.images_per_s, evaluated.streams)
    return measured.model_copy(update={"contradicted": contradicted})


def _bench_key(file: EngineFile, spec: SweepSpec) -> str:
    environment, limits = read_environment(), spec.limits
    # As they were named and written before these specs were one, so that what is stored is still found.
    settings = {
        "batch_sizes": spec.batch_sizes,
        "duration_s": limits.duration_s or 0,
        "min_samples": limits.min_samples,
        "processes": spec.processes,
        "streams": spec.streams if len(spec.streams) > 1 else spec.streams[0],
        "warmup_budget_s": limits.warmup_budget_s,
        "images": spec.images_sha256,
        "scopes": spec.scopes,
        "files": _hash_files(spec.files) if spec.files else None,
        "stop_when_saturated": spec.stop_when_saturated,
    }
    return BENCH.key(
        {
            "engine": [file.manifest.key, file.manifest.contents],
            "spec": settings,
            "machine": machine_hash(environment),
            "versions": environment.versions,
        }
    )


def _hash_files(folder: Path) -> str:
    stats = [(path.name, path.stat()) for path in list_images(folder)]
    return hash_value([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


def find_prepared(engine: Path | EngineFile) -> Path | None:
    """The prepared images of the run that an engine folder is part of, where they are what the engine takes."""
    file = read_engine(engine)
    pixels = file.folder.resolve().parent.parent / "bench" / "images.npy"
    with contextlib.suppress(DataError):
        read_pixels(pixels, read_pipeline(file.manifest.graph))
        return pixels
    return None


def write_guide_summaries(measured: Measurement, output: Path, command: Sequence[str]) -> list[str]:
    """Write the guides' `summary.json` of each batch size beside a record, and return the lines that the guides print.

    Device times where they were measured, else the host's; scope e2e is not among them.
    """
    scope: Scope = "device" if measured.by_setting("device") else "host"
    lines = []
    for (_, _, batch_size), points in measured.by_setting(scope).items():
        performance = Performance(
            batch_size,
            [ms for point in points for ms in point.durations_ms],
            [ms for point in points for ms in point.copy_in_ms],
            [ms for point in points for ms in point.copy_out_ms],
        )
        lines += write_performance(performance, everything=scope == "device")
        summary = output.with_name(f"{output.stem}_bs{batch_size}_summary.json")
        write_text(summary, write_summary((), command, performance, os.getpid()))
    return lines


def prepare_folder(engine: Path | EngineFile, images: Path, output: Path, most: int | None = None) -> Path:
    """Prepare the images of a folder for measuring an engine; they go beside `output`, as NAME.images.npy.

    Args:
        most: as for `prepare_pixels`.

    Raises:
        DataError: there is no such folder, or it has no images.
    """
    pipeline = read_pipeline(read_engine(engine).manifest.graph)
    paths = list_images(images)
    if not paths:
        raise DataError(f"image folder {images} has no images", "give a folder of images")
    return prepare_pixels(paths, pipeline, output.with_name(f"{output.stem}.images.npy"), most)


def prepare_pixels(images: Sequence[Path], pipeline: InputPipeline, output: Path, most: int | None = None) -> Path:
    """Store images as a graph takes them, uint8 (n, *pipeline.shape), for measuring processes to read.

    A single image is followed by itself, moved down by half its height, as inputs have to differ from run to run.

    Args:
        most: number of images to keep at most; None keeps what fits in `PIXELS_BYTES`.
    """
    most = most or min(MOST_IMAGES, max(1, PIXELS_BYTES // math.prod(pipeline.shape)))
    pixels = load_batch(images[:most], pipeline)
    if len(pixels) == 1:
        pixels = np.concatenate([pixels, np.roll(pixels, pipeline.shape[0] // 2, axis=1)])
    with replacing(output) as temporary, temporary.open("wb") as file:
        np.save(file, pixels)
    return output
