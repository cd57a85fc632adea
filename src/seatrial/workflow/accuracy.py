"""`seatrial evaluate`: an engine's accuracy on a labelled set."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.bench.environment import machine_hash, read_environment
from seatrial.data.feed import read_feed
from seatrial.data.labels import LabelledImage, hash_listing
from seatrial.engines import get_engine
from seatrial.engines.base import EngineFile, read_engine
from seatrial.errors import DataError, SeatrialError
from seatrial.evaluation.pipeline import Evaluated, evaluate_session
from seatrial.evaluation.predictions import Predictions, check_same_images
from seatrial.evaluation.statistics import compare_answers, wilson_interval
from seatrial.metrics.topk import TopK
from seatrial.progress import Progress, Update, silent
from seatrial.store.files import hash_file, hash_value
from seatrial.store.records import AccuracyRecord, Comparison
from seatrial.workflow.quantization import check_leak


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
        DataError: an image is no image or was calibrated with, or the engine was built for another preprocessing.
        ParityError: an answer is not a number, or all are the same.
        NotComparable: the reference's predictions are of other images.
    """
    file = read_engine(folder)
    feed = read_feed(file.manifest.graph)
    if file.manifest.graph.preprocess_hash != feed.hash:
        raise DataError(f"{folder} was built for another preprocessing", "export and compile it again")
    check_leak(file.manifest.graph, spec.images, progress)
    name = folder.name
    listing = hash_listing(spec.images)
    key = _evaluation_key(file, spec, listing)
    found = _find_evaluated(output / f"{name}.json", key)
    if found is None:
        engine = get_engine(file.manifest.engine)
        with engine.open(file, file.manifest.device, spec.batch_size) as session:
            evaluated = evaluate_session(session, spec.images, feed, spec.batch_size, progress)
        evaluated.predictions.save(output / f"{name}.parquet")
        described = _describe(file, name, key, evaluated, output / f"{name}.parquet")
        record = described.model_copy(update={"images_hash": listing})
    else:
        record = found
    versus = None if spec.reference is None else compare_with(spec.reference, output / record.predictions, name)
    if spec.reference is not None and versus is not None:
        versus = versus.model_copy(update={"doubts": find_differences(spec.reference, record)})
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


def find_differences(reference: Path, record: AccuracyRecord) -> tuple[str, ...]:
    """What else than the engine differs from the reference's evaluation, from the record beside its predictions."""
    with contextlib.suppress(SeatrialError):
        other = AccuracyRecord.load(reference.with_suffix(".json"))
        checks = {
            "its images came through another preprocessing": other.preprocess_hash != record.preprocess_hash,
            "its weights are others": other.checkpoint_sha256 != record.checkpoint_sha256,
            "image files have changed since": None not in (other.images_hash, record.images_hash)
            and other.images_hash != record.images_hash,
        }
        return tuple(f"{reference.stem}: {text}" for text, differs in checks.items() if differs)
    return ()


def _evaluation_key(file: EngineFile, spec: EvaluateSpec, listing: str) -> str:
    return hash_value(
        {
            "stage": "evaluate/1",
            "engine": [file.manifest.key, [m.sha256 for m in file.manifest.files]],
            "images": listing,
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
