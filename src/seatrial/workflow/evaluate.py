"""`seatrial evaluate`: an engine's accuracy on a labelled set."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seatrial.bench.worker import read_peak_rss
from seatrial.data.images import LabelledImage, hash_listing
from seatrial.data.preprocessing.check_prepared import check_prepared
from seatrial.data.preprocessing.input_pipeline import InputPipeline, read_pipeline
from seatrial.engines import get_engine
from seatrial.engines.base import EngineFile, read_engine
from seatrial.engines.self_test import check_self_test
from seatrial.errors import DataError, UsageError
from seatrial.evaluation.batch_dependence import BatchDependence, BatchProbe, choose_probe, measure_batch_dependence
from seatrial.evaluation.channels import try_swapped
from seatrial.evaluation.early_stopping import check_certainty, reach_certainty
from seatrial.evaluation.find_evaluated import Asked, drop_changed, find_evaluated, load_evaluated
from seatrial.evaluation.ledger import Ledger, Tally
from seatrial.evaluation.notes import count_notes, find_channel_doubts, find_machine_doubts, refuse_partial
from seatrial.evaluation.pipeline import (
    AnswerSource,
    Clock,
    answer_all,
    check_variety,
    collect_predictions,
)
from seatrial.evaluation.plausibility import judge_tally
from seatrial.evaluation.reference import Reference, check_reference, compare_with
from seatrial.evaluation.statistics import Paired, wilson_interval
from seatrial.evaluation.stream import Plan, stream_answers
from seatrial.machine.cpu import count_cores
from seatrial.machine.environment import machine_hash, read_environment
from seatrial.metrics.noise_floor import find_batch_floor, is_coarse
from seatrial.metrics.topk import TopK
from seatrial.progress import Progress, Update, silent
from seatrial.store.files import hash_file, hash_value, remove_file
from seatrial.store.predictions import Predictions, write_parts
from seatrial.store.records import AccuracyRecord, Certainty, Environment, Throughput
from seatrial.workflow.quantize import check_leak

CALLERS = 8
"""At most so many batches inside an engine that was not tuned."""


@dataclass(frozen=True, slots=True)
class EvaluateSpec:
    """What to evaluate on, and how."""

    images: Sequence[LabelledImage] = ()
    batch_size: int | None = None
    """None takes what tuning found, else 16."""
    reference: Path | None = None
    """Predictions (Parquet) to hold the answers against."""
    workers: int | None = None
    """That decode; None takes one for each core."""
    callers: int | None = None
    """Batches inside the engine at a time; None takes what tuning found, else two for each core, at most `CALLERS`:
    so that one waits while another runs."""
    keep_logits: bool = False
    """Store all logits beside the five best."""
    identity: str | None = None
    """What identifies `images` where their files do not: the hash of the set that a pack was made of."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why an image that was asked for is not among `images`, by id."""
    allow_partial: bool = False
    """Tell an accuracy also where images are missing or broken."""
    resume: bool = True
    """Go on with what an evaluation that was stopped has left, or take what one that was finished found."""
    fake: bool = False
    """Some images are others under another name, so that no accuracy follows."""
    until_pp: float | None = None
    """Take images in a random order, and stop as soon as it is certain that the drop of top-1 against the reference is
    below or above this, in points."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one evaluation needs to know, found out before any image is read."""

    file: EngineFile
    pipeline: InputPipeline
    spec: EvaluateSpec
    plan: Plan
    listing: str
    """What identifies the images: `data.labels.hash_listing`."""
    key: str
    answering: "Answering"
    reference: Reference | None = None

    @property
    def name(self) -> str:
        """Of the records: the engine folder's."""
        return self.file.folder.name

    @property
    def own(self) -> bool:
        """The weights are known not to be the published ones of the card."""
        return self.file.manifest.graph.published is False

    @property
    def images(self) -> Asked:
        """As what was evaluated before is held against."""
        spec, workers = self.spec, self.plan.workers
        return Asked(self.name, spec.images, self.pipeline, spec.allow_partial, workers)

    def choose_probe(self) -> BatchProbe:
        """The images that show whether batches change the engine's answers."""
        manifest = self.file.manifest
        floor = find_batch_floor(manifest.precision, manifest.executed, manifest.graph.dynamic_scales)
        return choose_probe(self.spec.images, self.plan.batch_size, floor, self.plan.coarse)


@dataclass(slots=True)
class Sitting:
    """What is only known once the engine was open."""

    batch: BatchDependence | None = None
    first_answer_s: float = 0.0
    certainty: Certainty | None = None
    tally: Tally | None = None
    """Once all images have their answers."""
    swapped: Paired | None = None
    """Some images with red and blue swapped against as they are; None where nobody looked."""
    untried: str = ""
    """Why nobody looks, where that is not for want of a reason to."""


class Answering(Protocol):
    """Who runs the images."""

    @property
    def environment(self) -> Environment:
        """The machine that does; of several the most common kind."""
        ...

    @property
    def cores(self) -> int:
        """For each engine session."""
        ...

    @property
    def sessions(self) -> int:
        """Engine sessions at a time."""
        ...

    def open(self, asked: Evaluation, sitting: Sitting, progress: Progress) -> AbstractContextManager[AnswerSource]:
        """Get ready; what that gives has images answered, by their indices, until the context ends."""
        ...


class Here:
    """This process runs the images."""

    sessions = 1

    def __init__(self) -> None:
        self.environment = read_environment()
        self.cores = count_cores()

    @contextmanager
    def open(self, asked: Evaluation, sitting: Sitting, progress: Progress) -> Iterator[AnswerSource]:
        """Open the engine, and see whether batches change its answers before the set is run."""
        spec, plan, pipeline = asked.spec, asked.plan, asked.pipeline
        told = f"{plan.workers} workers decode, {plan.callers} batches of {plan.batch_size} are inside the engine"
        progress(Update("evaluate", note=f"{asked.name}: {told}; {self.cores} cores"))
        begun = time.perf_counter()
        engine = get_engine(asked.file.manifest.engine)
        with engine.open(asked.file, asked.file.manifest.device, plan.batch_size, plan.callers) as session:
            check_self_test(session, asked.file, plan.batch_size)
            opened_s = time.perf_counter() - begun
            sitting.batch = measure_batch_dependence(session, asked.choose_probe(), pipeline)
            if sitting.batch is not None:
                sitting.first_answer_s = opened_s + sitting.batch.first_answer_s
            yield lambda todo: stream_answers(session, spec.images, pipeline, todo, plan)
            if sitting.tally is not None and not spec.fake:
                sitting.swapped = try_swapped(session, spec.images, pipeline, sitting.tally, plan.batch_size, asked.own)


def evaluate_engine(
    folder: Path, spec: EvaluateSpec, output: Path, progress: Progress = silent, answering: Answering | None = None
) -> AccuracyRecord:
    """Run a labelled set through an engine and write `output/NAME.json` and `.parquet`, or find them written.

    Args:
        answering: who runs the images; None does it in this process.

    Raises:
        UsageError: the folder is no engine folder.
        DataError: images are missing, broken or were calibrated with, or the engine takes another preprocessing.
        ParityError: an answer is not a number, depends on the batch, or is the same for different images.
        NotComparable: the reference's predictions are of other images.
    """
    asked = prepare_evaluation(folder, spec, progress, answering or Here())
    if spec.reference is not None and spec.reference.resolve() == (output / f"{asked.name}.parquet").resolve():
        fix = "choose another --output, or rename the reference"
        raise UsageError(f"the reference {spec.reference} is what this evaluation writes", fix)
    stored = load_evaluated(output, asked.name, asked.key, spec.allow_partial, progress) if spec.resume else None
    record = None if stored is None else find_evaluated(asked.images, stored, progress)
    found = record is not None
    if record is None:
        record = _evaluate(asked, output, progress)
    if asked.reference is not None:
        record = record.model_copy(update={"versus": compare_with(asked.reference, output, record)})
    elif record.versus is not None:
        record = record.model_copy(update={"versus": None})
    record.save(output / f"{asked.name}.json")
    shown = f"{asked.name}: top-1 {record.accuracy():.2%} of {record.images} images"
    progress(Update("evaluate", note=f"already evaluated: {asked.name}" if found else shown))
    return record


def prepare_evaluation(folder: Path, spec: EvaluateSpec, progress: Progress, answering: Answering) -> Evaluation:
    """Read the engine folder and check everything that can be checked before an image is read.

    Raises:
        SeatrialError: as `evaluate_engine`.
    """
    if spec.until_pp is not None:
        check_certainty(spec.reference is not None, spec.allow_partial)
    file = read_engine(folder)
    pipeline = read_pipeline(file.manifest.graph)
    if file.manifest.graph.preprocess_hash != pipeline.hash:
        raise DataError(f"{folder} was built for another preprocessing", "export and compile it again")
    if spec.missing and not spec.allow_partial:
        refuse_partial(dict(spec.missing), len(spec.images) + len(spec.missing))
    listing = spec.identity or hash_listing(spec.images)
    check_prepared(spec.images, pipeline, file.manifest.input.dtype)
    reference = None
    if spec.reference is not None:
        reference = Reference.load(spec.reference, file.manifest.output.shape[-1])
        check_reference(reference, spec.images, folder.name)
    check_leak(file.manifest.graph, spec.images, listing, progress)
    plan = make_plan(file, spec, answering.cores)
    key = _evaluation_key(file, spec, plan.batch_size, listing, machine_hash(answering.environment), reference)
    return Evaluation(file, pipeline, spec, plan, listing, key, answering, reference)


def make_plan(file: EngineFile, spec: EvaluateSpec, cores: int) -> Plan:
    """What is asked, else what tuning found, else a default that follows from the cores."""
    best = file.manifest.tuning.best if file.manifest.tuning else None
    wanted = min(spec.batch_size or (best.batch_size if best else 16), max(1, len(spec.images)))
    batch_size = file.pick(wanted)[1] or wanted
    batches = max(1, -(-len(spec.images) // batch_size))
    return Plan(
        batch_size=batch_size,
        workers=min(spec.workers or cores, batches),
        callers=min(spec.callers or (best.streams if best else min(CALLERS, 2 * cores)), batches),
        keep_logits=spec.keep_logits,
        coarse=is_coarse(file.manifest.precision, file.manifest.executed),
    )


def _evaluate(asked: Evaluation, output: Path, progress: Progress) -> AccuracyRecord:
    images, spec = asked.spec.images, asked.spec
    with Ledger(output / f".{asked.name}.ledger", asked.key, len(images), spec.resume) as ledger:
        drop_changed(asked.images, ledger, progress)
        if len(ledger.todo) < len(images):
            already = f"{len(images) - len(ledger.todo)} of {len(images)} images are answered already"
            progress(Update("evaluate", note=f"{asked.name}: {already}"))
        sitting = Sitting()
        with asked.answering.open(asked, sitting, progress) as answer:
            # Nothing refuses any more. What stands there is another evaluation's, and must not pass for this one's if
            # it fails.
            for ending in ("json", "throughput.json", "parquet"):
                remove_file(output / f"{asked.name}.{ending}")
            sitting.certainty = _answer(asked, ledger, answer, progress)
            sitting.tally = ledger.tally
        broken = {images[index].id: why for index, why in ledger.tally.bad.items()}
        left_out = dict(sorted({**spec.missing, **broken}.items()))
        if left_out and not (spec.allow_partial and ledger.tally.answered.any()):
            refuse_partial(left_out, len(images) + len(spec.missing))
        check_variety(ledger.tally, images, asked.pipeline, asked.plan.coarse)
        predictions = output / f"{asked.name}.parquet"
        write_parts(predictions, collect_predictions(ledger, images))
        pace = _describe_pace(asked, ledger.tally, sitting)
        pace.save(output / f"{asked.name}.throughput.json")
        record = _describe(asked, ledger.tally, predictions, left_out, sitting)
        record.save(output / f"{asked.name}.json")
        ledger.remove()
    for note in record.notes:
        progress(Update("evaluate", note=f"{asked.name}: {note}"))
    progress(Update("evaluate", note=f"{asked.name}: {pace.images_per_s:.0f} images/s from files to answers"))
    return record


def _answer(asked: Evaluation, ledger: Ledger, answer: AnswerSource, progress: Progress) -> Certainty | None:
    spec, clock = asked.spec, Clock(progress)

    def answer_some(indices: NDArray[np.int64]) -> Tally:
        todo = indices[~ledger.tally.done[indices]]
        if len(todo):
            answer_all(ledger, todo, answer, len(spec.images), clock)
        return ledger.tally

    if spec.until_pp is None:
        answer_some(ledger.todo)
        return None
    assert asked.reference is not None
    return reach_certainty(spec.images, asked.reference.predictions, spec.until_pp, answer_some)


def _evaluation_key(
    file: EngineFile, spec: EvaluateSpec, batch_size: int, listing: str, machine: str, reference: Reference | None
) -> str:
    return hash_value(
        {
            "stage": "evaluate/3",
            "engine": [file.manifest.key, file.manifest.contents],
            "images": listing,
            "missing": sorted(spec.missing),
            "batch_size": batch_size,
            "logits": spec.keep_logits,
            "fake": spec.fake,
            "until": None if spec.until_pp is None or reference is None else [spec.until_pp, reference.sha256],
            "machine": machine,
        }
    )


def _describe(
    asked: Evaluation, tally: Tally, predictions: Path, left_out: dict[str, str], sitting: Sitting
) -> AccuracyRecord:
    manifest, images = asked.file.manifest, asked.spec.images
    answered = np.flatnonzero(tally.answered)
    labels = np.array([images[int(index)].label for index in answered], dtype=np.int32)
    counts = TopK.of(tally.classes[answered], labels)
    belief = judge_tally(images, tally, asked.pipeline.recipe, sitting.swapped, asked.spec.fake, asked.own)
    return AccuracyRecord(
        key=asked.key,
        name=asked.name,
        engine=manifest.engine,
        device=manifest.device,
        precision=manifest.precision,
        executed=manifest.executed,
        recipe=str(manifest.graph.recipe["name"]),
        checkpoint_sha256=manifest.graph.checkpoint_sha256,
        graph_sha256=manifest.graph.sha256,
        engine_identity=manifest.identity,
        preprocess_hash=manifest.graph.preprocess_hash,
        images_hash=asked.listing,
        contents_hash=Predictions.load(predictions).hash_contents(),
        images=counts.count,
        left_out=left_out,
        fake=asked.spec.fake,
        classes=tally.width,
        hits=counts.hits,
        top1_interval=wilson_interval(counts.hits[0], counts.count),
        batch_size=asked.plan.batch_size,
        batch_invariant=sitting.batch.exact if sitting.batch else None,
        batch_distance=sitting.batch.distance if sitting.batch else None,
        predictions=predictions.name,
        predictions_sha256=hash_file(predictions),
        certainty=sitting.certainty,
        doubts=(
            *find_machine_doubts(asked.answering.environment, tally),
            *belief.doubts,
            *find_channel_doubts(sitting.untried, images, asked.pipeline, tally, asked.own),
        ),
        notes=count_notes(tally, images),
        suspicions=belief.suspicions,
        unchecked=belief.unchecked,
        environment=asked.answering.environment,
    )


def _describe_pace(asked: Evaluation, tally: Tally, sitting: Sitting) -> Throughput:
    done, plan = int(tally.done.sum()), asked.plan
    return Throughput(
        key=asked.key,
        name=asked.name,
        images=done,
        wall_s=tally.wall_s,
        images_per_s=done / tally.wall_s,
        batch_size=plan.batch_size,
        workers=plan.workers,
        callers=plan.callers,
        sessions=asked.answering.sessions,
        decode_s=tally.decode_s,
        run_s=tally.run_s,
        first_answer_s=sitting.first_answer_s,
        sittings=tally.sittings,
        peak_rss_bytes=read_peak_rss(),
    )
