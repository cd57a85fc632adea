"""`seatrial evaluate`: an engine's accuracy on a set of images, a part of it, or some of it many times."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.bench.worker import read_peak_rss
from seatrial.data.images import are_labelled, hash_listing
from seatrial.data.loading.decode_pool import count_decoders
from seatrial.data.preprocessing.check_prepared import check_prepared, describe_input
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.data.sources import read_images, read_unlabelled
from seatrial.engines.base import EngineFile, read_engine
from seatrial.errors import DataError, RunInUse, UsageError
from seatrial.evaluation.early_stopping import check_early_stopping, stop_early
from seatrial.evaluation.executor import EvaluateSpec as EvaluateSpec
from seatrial.evaluation.executor import Evaluation, Executor, LocalExecutor, Observations
from seatrial.evaluation.find_evaluated import EVALUATE, drop_changed, is_current, load_evaluated
from seatrial.evaluation.flips import keep_flips
from seatrial.evaluation.ledger import PredictionLedger, Tally
from seatrial.evaluation.notes import count_notes, find_doubts, refuse_partial
from seatrial.evaluation.pipeline import (
    PredictionSource,
    check_variety,
    collect_predictions,
    predict_all,
)
from seatrial.evaluation.plausibility import judge_tally
from seatrial.evaluation.reference import ReferencePredictions, check_reference, compare_with
from seatrial.evaluation.select import repeat_images, select_images
from seatrial.evaluation.sequential import ALPHA
from seatrial.evaluation.stream import StreamPlan
from seatrial.machine.environment import machine_hash
from seatrial.metrics.classification import measure_all
from seatrial.metrics.noise_floor import is_coarse
from seatrial.metrics.topk import TopK
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.recipes.class_names import read_names
from seatrial.store.files import hash_file, remove_file
from seatrial.store.measurement import Throughput
from seatrial.store.predictions import Predictions, write_parts
from seatrial.store.records import AccuracyRecord, EarlyStopping
from seatrial.workflow.quantize import check_leak

MOST_STREAMS = 8
"""At most so many batches inside an engine that was not tuned."""


@dataclass(frozen=True, slots=True)
class ImageSetSpec:
    """Where images come from, and which of them to take."""

    source: str
    """A folder, a list, an `.info` file, tar shards, bins or a pack: see `data.sources`."""
    labels: Path | None = None
    unlabelled: bool = False
    """Take the images without classes, whatever the source says of them."""
    limit: int | None = None
    """Take so many, each class in proportion."""
    seed: int = 0
    fake: int | None = None
    """Repeat the images up to so many, to try long runs."""


def read_set(
    folder: Path | EngineFile, image_set: ImageSetSpec, spec: EvaluateSpec, progress: Progress = silent
) -> EvaluateSpec:
    """`spec` with the images of a set, for the engine in `folder`.

    Raises:
        UsageError: the options contradict each other, or the folder is no engine folder.
        DataError: the source is none, or names and labels do not agree.
        RefusedFile: an archive or a pack is damaged.
    """
    if image_set.limit is not None and image_set.fake is not None:
        raise UsageError("--limit takes fewer images and --fake-images more", "give one of them")
    if image_set.unlabelled and image_set.labels is not None:
        raise UsageError("--no-labels leaves the labels out, and --labels gives some", "give one of them")
    if image_set.fake is not None and spec.reference is not None:
        raise UsageError("--fake-images measures no accuracy, so there is nothing to compare", "leave --reference out")
    manifest = read_engine(folder).manifest
    expected = describe_input(read_pipeline(manifest.graph), manifest.input.dtype)
    recipe = Recipe.read(manifest.graph.recipe, "the graph's manifest")
    if image_set.unlabelled:
        listing = read_unlabelled(image_set.source, spec.allow_partial, expected, progress)
    else:
        listing = read_images(image_set.source, image_set.labels, recipe, spec.allow_partial, expected, progress)
    images, identity = listing.images, listing.source_hash
    if image_set.limit is not None:
        images, identity = select_images(images, image_set.limit, image_set.seed), None
    elif image_set.fake is not None:
        images, identity = repeat_images(images, image_set.fake), None
    missing = {name: f"{name} has a label and is missing" for name in listing.missing}
    return replace(spec, images=images, identity=identity, missing=missing, fake=image_set.fake is not None)


def evaluate_engine(
    folder: Path | EngineFile,
    spec: EvaluateSpec,
    output: Path,
    progress: Progress = silent,
    executor: Executor | None = None,
) -> AccuracyRecord:
    """Run a set of images through an engine and write `output/NAME.json` and `.parquet`, or find them written.

    Args:
        executor: what runs the images; None is this process.

    Raises:
        UsageError: the folder is no engine folder.
        DataError: images are missing, broken or were calibrated with, or the engine takes another preprocessing.
        ParityError: logits are not numbers, depend on the batch, or are the same for different images.
        NotComparable: the reference's predictions are of other images.
    """
    evaluation = prepare_evaluation(folder, spec, progress, executor or LocalExecutor())
    reference = evaluation.reference
    if reference is not None:
        _refuse_own(reference.path, output / f"{evaluation.name}.parquet")
    stored = (
        load_evaluated(output, evaluation.name, evaluation.key, spec.allow_partial, progress) if spec.resume else None
    )
    reused = stored is not None and is_current(evaluation, *stored, progress)
    record, predictions = stored if stored is not None and reused else _evaluate(evaluation, output, progress)
    if reused:
        _remove_ledger(evaluation, output)
    record = record.model_copy(update={"versus": None, "agreement": None})
    if reference is not None:
        record = compare_with(reference, predictions, record)
    record.save(output / f"{evaluation.name}.json")
    if reference is not None:
        recipe = evaluation.pipeline.recipe
        keep_flips(output, record, (reference, predictions), spec.images, recipe, progress)
    top1 = record.accuracy()
    found = "predictions without labels" if top1 is None else f"top-1 {top1:.2%}"
    shown = f"{evaluation.name}: {found} of {record.images} images"
    progress(EVALUATE.already(evaluation.name) if reused else Update("evaluate", note=shown))
    return record


def _refuse_own(reference: Path, written: Path) -> None:
    if reference.resolve() == written.resolve():
        fix = "choose another --output, or rename the reference"
        raise UsageError(f"the reference {reference} is what this evaluation writes", fix)


def prepare_evaluation(
    folder: Path | EngineFile, spec: EvaluateSpec, progress: Progress, executor: Executor
) -> Evaluation:
    """Read the engine folder and check everything that can be checked before an image is read.

    Raises:
        SeatrialError: as `evaluate_engine`.
    """
    if spec.until_pp is not None:
        check_early_stopping(spec.reference is not None, are_labelled(spec.images), spec.allow_partial)
    file = read_engine(folder)
    pipeline = read_pipeline(file.manifest.graph)
    if file.manifest.graph.preprocess_hash != pipeline.hash:
        raise DataError(f"{file.folder} was built for another preprocessing", "export and compile it again")
    if spec.missing and not spec.allow_partial:
        refuse_partial(dict(spec.missing), len(spec.images) + len(spec.missing))
    listing = spec.identity or hash_listing(spec.images)
    check_prepared(spec.images, pipeline, file.manifest.input.dtype)
    reference = None
    if spec.reference is not None:
        reference = ReferencePredictions.load(spec.reference, file.manifest.output.shape[-1])
        check_reference(reference, spec.images, file.folder.name)
    check_leak(file.manifest.graph, spec.images, listing, progress)
    plan = make_plan(file, spec, executor.cores)
    key = _evaluation_key(file, spec, plan.batch_size, listing, machine_hash(executor.environment), reference)
    return Evaluation(file, pipeline, spec, plan, listing, key, executor, reference)


def make_plan(file: EngineFile, spec: EvaluateSpec, cores: int) -> StreamPlan:
    """The settings requested, else those that tuning chose, else defaults that follow from the cores."""
    best = file.manifest.tuning.best if file.manifest.tuning else None
    wanted = min(spec.batch_size or (best.batch_size if best else 16), max(1, len(spec.images)))
    batch_size = file.pick(wanted)[1] or wanted
    batches = max(1, -(-len(spec.images) // batch_size))
    return StreamPlan(
        batch_size=batch_size,
        decode_workers=min(spec.decode_workers or count_decoders(cores), batches),
        streams=min(spec.streams or (best.streams if best else min(MOST_STREAMS, 2 * cores)), batches),
        keep_logits=spec.keep_logits,
        coarse=is_coarse(file.manifest.precision, file.manifest.executed),
    )


def _evaluate(evaluation: Evaluation, output: Path, progress: Progress) -> tuple[AccuracyRecord, Predictions]:
    images, spec = evaluation.spec.images, evaluation.spec
    with _open_ledger(evaluation, output) as ledger:
        drop_changed(evaluation, ledger, progress)
        if len(ledger.todo) < len(images):
            already = f"{len(images) - len(ledger.todo)} of {len(images)} images are done already"
            progress(Update("evaluate", note=f"{evaluation.name}: {already}"))
        observations = Observations(ledger.tally)
        progress(Update("evaluate", doing=f"{evaluation.name}: opening the engine"))
        with evaluation.executor.open(evaluation, observations, progress) as predict:
            # All checks have passed. Results that are there are another evaluation's, and must not pass for this
            # one's if it fails.
            for ending in ("json", "throughput.json", "flips.json", "parquet"):
                remove_file(output / f"{evaluation.name}.{ending}")
            observations.early_stopping = _predict(evaluation, ledger, predict, progress)
        broken = {images[index].id: why for index, why in ledger.tally.bad.items()}
        left_out = dict(sorted({**spec.missing, **broken}.items()))
        if left_out and not (spec.allow_partial and ledger.tally.predicted.any()):
            refuse_partial(left_out, len(images) + len(spec.missing))
        check_variety(ledger.tally, images, evaluation.pipeline, evaluation.plan.coarse)
        path = output / f"{evaluation.name}.parquet"
        names = read_names(evaluation.pipeline.recipe) or ()
        write_parts(path, collect_predictions(ledger, images), names if len(names) == ledger.tally.width else ())
        predictions = Predictions.load(path)
        pace = _describe_pace(evaluation, observations)
        pace.save(output / f"{evaluation.name}.throughput.json")
        record = _describe(evaluation, observations, left_out, path, predictions)
        record.save(output / f"{evaluation.name}.json")
        ledger.remove()
    for note in record.notes:
        progress(Update("evaluate", note=f"{evaluation.name}: {note}"))
    progress(Update("evaluate", note=f"{evaluation.name}: {pace.images_per_s:.0f} images/s from files to predictions"))
    return record, predictions


def _remove_ledger(evaluation: Evaluation, output: Path) -> None:
    """Of an evaluation that is done: a process that was killed may have left it."""
    if _ledger_path(evaluation, output).exists():
        with suppress(RunInUse), _open_ledger(evaluation, output) as ledger:
            ledger.remove()


def _ledger_path(evaluation: Evaluation, output: Path) -> Path:
    return output / f".{evaluation.name}.ledger"


def _open_ledger(evaluation: Evaluation, output: Path) -> PredictionLedger:
    images, spec = evaluation.spec.images, evaluation.spec
    labels = None
    if are_labelled(images) and not spec.fake:
        labels = np.array([image.label for image in images], dtype=np.int32)
    return PredictionLedger(_ledger_path(evaluation, output), evaluation.key, len(images), spec.resume, labels)


def _predict(
    evaluation: Evaluation, ledger: PredictionLedger, predict: PredictionSource, progress: Progress
) -> EarlyStopping | None:
    spec = evaluation.spec

    def predict_some(indices: NDArray[np.int64]) -> Tally:
        todo = indices[~ledger.tally.done[indices]]
        if len(todo):
            predict_all(ledger, todo, predict, len(spec.images), progress)
        return ledger.tally

    if spec.until_pp is None:
        predict_some(ledger.todo)
        return None
    assert evaluation.reference is not None
    predictions = evaluation.reference.predictions
    return stop_early(spec.images, predictions, spec.until_pp, predict_some, spec.until_alpha)


def _evaluation_key(
    file: EngineFile,
    spec: EvaluateSpec,
    batch_size: int,
    listing: str,
    machine: str,
    reference: ReferencePredictions | None,
) -> str:
    return EVALUATE.key(
        {
            "engine": [file.manifest.key, file.manifest.contents],
            "images": listing,
            "missing": sorted(spec.missing),
            "batch_size": batch_size,
            "logits": spec.keep_logits,
            "fake": spec.fake,
            "until": _describe_until(spec, reference),
            "machine": machine,
        }
    )


def _describe_until(spec: EvaluateSpec, reference: ReferencePredictions | None) -> list[float | str] | None:
    if spec.until_pp is None or reference is None:
        return None
    level = [] if spec.until_alpha == ALPHA else [spec.until_alpha]
    return [spec.until_pp, reference.sha256, *level]


def _describe(
    evaluation: Evaluation, observations: Observations, left_out: dict[str, str], path: Path, predictions: Predictions
) -> AccuracyRecord:
    manifest, spec, tally = evaluation.file.manifest, evaluation.spec, observations.tally
    labels = predictions.labels
    recipe, batch = evaluation.pipeline.recipe, observations.batch
    belief = judge_tally(spec.images, tally, recipe, observations.swapped, spec.fake, evaluation.own)
    return AccuracyRecord(
        key=evaluation.key,
        name=evaluation.name,
        engine=manifest.engine,
        device=manifest.device,
        precision=manifest.precision,
        executed=manifest.executed,
        recipe=str(manifest.graph.recipe["name"]),
        checkpoint_sha256=manifest.graph.checkpoint_sha256,
        graph_sha256=manifest.graph.sha256,
        graph_origin=manifest.graph.origin,
        engine_identity=manifest.identity,
        preprocess_hash=manifest.graph.preprocess_hash,
        images_hash=evaluation.listing,
        contents_hash=predictions.hash_contents(),
        images=len(predictions.ids),
        left_out=left_out,
        fake=spec.fake,
        classes=tally.width,
        hits=() if labels is None else TopK.of(predictions.classes, labels).hits,
        metrics={} if labels is None else measure_all(labels, predictions.classes, predictions.scores),
        batch_size=evaluation.plan.batch_size,
        batch_invariant=batch.exact if batch else None,
        batch_distance=batch.distance if batch else None,
        predictions=path.name,
        predictions_sha256=hash_file(path),
        early_stopping=observations.early_stopping,
        doubts=tuple(find_doubts(evaluation, observations, belief)),
        notes=count_notes(tally, spec.images),
        suspicions=belief.suspicions,
        unchecked=belief.unchecked,
        environment=evaluation.executor.environment,
    )


def _describe_pace(evaluation: Evaluation, observations: Observations) -> Throughput:
    tally, plan = observations.tally, evaluation.plan
    done = int(tally.done.sum())
    return Throughput(
        key=evaluation.key,
        name=evaluation.name,
        images=done,
        wall_s=tally.wall_s,
        images_per_s=done / tally.wall_s,
        batch_size=plan.batch_size,
        decode_workers=plan.decode_workers,
        streams=plan.streams,
        sessions=evaluation.executor.sessions,
        decode_s=tally.decode_s,
        run_s=tally.run_s,
        first_prediction_s=observations.first_prediction_s,
        attempts=tally.attempts,
        peak_rss_bytes=read_peak_rss(),
    )
