"""What one evaluation needs, and what runs its images: this process, or a cluster in its place."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from seatrial.data.images import LabelledImage
from seatrial.data.preprocessing.input_pipeline import InputPipeline
from seatrial.engines import get_engine
from seatrial.engines.base import EngineFile
from seatrial.engines.self_test import check_self_test
from seatrial.evaluation.batch_dependence import BatchDependence, BatchProbe, choose_probe, measure_batch_dependence
from seatrial.evaluation.channels import try_swapped
from seatrial.evaluation.ledger import Tally
from seatrial.evaluation.pipeline import (
    PredictionSource,
)
from seatrial.evaluation.reference import ReferencePredictions
from seatrial.evaluation.sequential import ALPHA
from seatrial.evaluation.statistics import Paired
from seatrial.evaluation.stream import StreamPlan, stream_predictions
from seatrial.machine.cpu import count_cores
from seatrial.machine.environment import read_environment
from seatrial.metrics.noise_floor import find_batch_floor
from seatrial.progress import Progress, Update
from seatrial.store.measurement import Environment
from seatrial.store.records import EarlyStopping


@dataclass(frozen=True, slots=True)
class EvaluateSpec:
    """What to evaluate on, and how."""

    images: Sequence[LabelledImage] = ()
    batch_size: int | None = None
    """None takes what tuning chose, else 16."""
    reference: Path | ReferencePredictions | None = None
    """Predictions (Parquet) to compare with; what was read already stays as it is."""
    decode_workers: int | None = None
    """Threads that decode, or processes if many; None takes `data.loading.decode_pool.count_decoders`."""
    streams: int | None = None
    """Batches inside the engine at a time; None takes what tuning chose, else two for each core, so that one waits
    while another runs, at most `MOST_STREAMS`."""
    keep_logits: bool = False
    """Store all logits beside the five best."""
    identity: str | None = None
    """Hash of the set that a pack was made of, in the place of that of the image files."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why an image of the set is not among `images`, by id."""
    allow_partial: bool = False
    """Measure an accuracy also where images are missing or broken."""
    resume: bool = True
    """Resume an evaluation that was stopped, or reuse one that was finished."""
    fake: bool = False
    """Some images are others under another name, so that no accuracy follows."""
    until_pp: float | None = None
    """Take images in a random order, and stop as soon as it is certain that the drop of top-1 against the reference is
    below or above this, in points."""
    until_alpha: float = ALPHA
    """The chance that this is wrong, on each side."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The settings of one evaluation, complete before any image is read."""

    file: EngineFile
    pipeline: InputPipeline
    spec: EvaluateSpec
    plan: StreamPlan
    listing: str
    """What identifies the images: `data.labels.hash_listing`."""
    key: str
    executor: "Executor"
    reference: ReferencePredictions | None = None

    @property
    def name(self) -> str:
        """Name of the records: the engine folder's."""
        return self.file.folder.name

    @property
    def own(self) -> bool:
        """The weights are surely not the published ones of the card."""
        return self.file.manifest.graph.published is False

    def choose_probe(self) -> BatchProbe:
        """The images that show whether batches change the engine's logits."""
        manifest = self.file.manifest
        floor = find_batch_floor(manifest.precision, manifest.executed, manifest.graph.dynamic_scales)
        return choose_probe(self.spec.images, self.plan.batch_size, floor, self.plan.coarse)


@dataclass(slots=True)
class Observations:
    """What an executor measures and keeps while the engine is open."""

    tally: Tally
    """The ledger's, which fills up."""
    batch: BatchDependence | None = None
    first_prediction_s: float = 0.0
    early_stopping: EarlyStopping | None = None
    swapped: Paired | None = None
    """Some images with red and blue swapped against as they are; None where they were not run."""
    untried: str = ""
    """Why swapped channels are not tried, where they would have been."""


class Executor(Protocol):
    """What runs the images."""

    @property
    def environment(self) -> Environment:
        """Of the machine that runs them; of several the most common kind."""

    @property
    def cores(self) -> int:
        """Cores of each engine session."""

    @property
    def sessions(self) -> int:
        """Number of engine sessions at a time."""

    def open(
        self, evaluation: Evaluation, observations: Observations, progress: Progress
    ) -> AbstractContextManager[PredictionSource]:
        """Open the engine; the context yields a function that runs images by their indices."""


class LocalExecutor:
    """This process runs the images."""

    sessions = 1

    def __init__(self) -> None:
        self.environment = read_environment()
        self.cores = count_cores()

    @contextmanager
    def open(
        self, evaluation: Evaluation, observations: Observations, progress: Progress
    ) -> Iterator[PredictionSource]:
        """Open the engine, and check that batches do not change its logits before the set is run."""
        spec, plan, pipeline = evaluation.spec, evaluation.plan, evaluation.pipeline
        lanes = f"{plan.decode_workers} decode workers, {plan.streams} streams, batches of {plan.batch_size}"
        progress(Update("evaluate", note=f"{evaluation.name}: {lanes}; {self.cores} cores"))
        begun = time.perf_counter()
        engine = get_engine(evaluation.file.manifest.engine)
        with engine.open(evaluation.file, evaluation.file.manifest.device, plan.batch_size, plan.streams) as session:
            check_self_test(session, evaluation.file, plan.batch_size)
            opened_s = time.perf_counter() - begun
            observations.batch = measure_batch_dependence(session, evaluation.choose_probe(), pipeline)
            if observations.batch is not None:
                observations.first_prediction_s = opened_s + observations.batch.first_prediction_s
            yield lambda todo: stream_predictions(session, spec.images, pipeline, todo, plan)
            if not spec.fake:
                observations.swapped = try_swapped(
                    session, spec.images, pipeline, observations.tally, plan.batch_size, evaluation.own
                )
