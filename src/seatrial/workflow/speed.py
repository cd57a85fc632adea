"""`seatrial bench`: an engine's speed, measured in fresh processes."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from seatrial.bench.environment import machine_hash, read_environment
from seatrial.bench.measure import Limits
from seatrial.bench.sweep import SweepSpec, sweep
from seatrial.data.batches import load_batch
from seatrial.data.feed import Feed, read_feed
from seatrial.data.labels import list_images
from seatrial.engines.base import EngineFile, read_engine
from seatrial.errors import DataError, SeatrialError
from seatrial.metrics.latency import Latency
from seatrial.progress import Progress, Update, silent
from seatrial.store.files import hash_file, hash_value, replacing
from seatrial.store.records import Measurement

PIXELS_BYTES = 32 * 2**20
"""Prepared images kept for measuring: what fits in this, at most `MOST_IMAGES`."""
MOST_IMAGES = 256


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


def choose_streams(folder: Path, asked: int | None) -> int:
    """The streams asked, else those that tuning found, else one."""
    tuning = read_engine(folder).manifest.tuning
    return asked or (1 if tuning is None else tuning.best.streams)


def bench_engine(
    folder: Path, spec: BenchSpec, output: Path, progress: Progress = silent, force: bool = False
) -> Measurement:
    """Measure an engine and write the record to `output`, or find it written by this machine.

    Raises:
        UsageError: the folder is no engine folder.
        EngineError: a measuring process died.
    """
    key = _bench_key(read_engine(folder), spec)
    with contextlib.suppress(SeatrialError):
        found = Measurement.load(output)
        if found.key == key and not force:
            progress(Update("bench", note=f"already measured: {folder.name}"))
            return found
    limits = Limits(
        warmup_runs=6,
        warmup_s=0.3,
        warmup_budget_s=spec.warmup_budget_s,
        duration_s=spec.duration_s,
        min_samples=spec.min_samples,
    )
    points = SweepSpec(
        batch_sizes=spec.batch_sizes,
        streams=(spec.streams,),
        images=spec.images,
        limits=limits,
        processes=spec.processes,
    )
    measured = sweep(folder, points, progress, key)
    measured.save(output)
    best = max(
        (Latency.of(p.durations_ms, p.batch_size, p.streams) for p in measured.points), key=lambda f: f.images_per_s
    )
    note = f"{folder.name}: best {best.images_per_s:.1f} images/s, at batch {best.batch_size}"
    progress(Update("bench", note=note))
    return measured


def _bench_key(file: EngineFile, spec: BenchSpec) -> str:
    environment = read_environment()
    asked = asdict(spec) | {"images": hash_file(spec.images) if spec.images else None}
    return hash_value(
        {
            "stage": "bench/1",
            "engine": [file.manifest.key, [m.sha256 for m in file.manifest.files]],
            "spec": asked,
            "machine": machine_hash(environment),
            "versions": environment.versions,
        }
    )


def prepare_folder(engine: Path, images: Path, output: Path, most: int | None = None) -> Path:
    """Prepare the images of a folder for measuring an engine; they go beside `output`.

    Args:
        most: as for `prepare_pixels`.

    Raises:
        DataError: there is no such folder, or it holds no images.
    """
    feed = read_feed(read_engine(engine).manifest.graph)
    found = list_images(images)
    if not found:
        raise DataError(f"image folder {images} holds no images")
    return prepare_pixels(found, feed, output.with_suffix(".npy"), most)


def prepare_pixels(images: Sequence[Path], feed: Feed, output: Path, most: int | None = None) -> Path:
    """Store images as a graph takes them, uint8 (n, *feed.shape), for measuring processes to read.

    Args:
        most: number of images to keep at most; None keeps what fits in `PIXELS_BYTES`.
    """
    most = most or min(MOST_IMAGES, max(1, PIXELS_BYTES // math.prod(feed.shape)))
    pixels = load_batch(images[:most], feed)
    with replacing(output) as temporary, temporary.open("wb") as file:
        np.save(file, pixels)
    return output
