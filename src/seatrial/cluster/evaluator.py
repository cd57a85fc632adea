"""What an actor does: it keeps one engine session open and runs chunk after chunk."""

import pickle
import platform
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from seatrial.cluster.engine_folder import PackedEngine, find_engine
from seatrial.cluster.pin_cores import take_cores
from seatrial.cluster.placement import LANES, find_resource
from seatrial.cluster.versions import check_versions
from seatrial.cluster.work import Brief, Chunk, Outcome
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.engines import get_engine
from seatrial.engines.base import EngineFile, Session
from seatrial.engines.self_test import check_self_test
from seatrial.errors import DataError, SeatrialError
from seatrial.evaluation.batch_dependence import measure_batch_dependence
from seatrial.evaluation.stream import PredictionBatch, stream_predictions
from seatrial.machine.environment import name_machine, read_environment

MOUNT = "every machine of the cluster must see the images under the same path"


class Evaluator:
    """Runs chunks with an engine that is opened once.

    Raises:
        SeatrialError: engine, images or versions here are not what the evaluation needs.
    """

    def __init__(self, brief: Brief, fetch: Callable[[], PackedEngine]) -> None:
        environment = read_environment()
        self._brief, self._machine = brief, name_machine(environment)
        check_versions(brief.versions, environment.versions, platform.node())
        _check_images(brief)
        file = find_engine(brief.folder, brief.sha256, fetch)
        self._pipeline = read_pipeline(file.manifest.graph)
        self._cores = take_cores(brief.cpus)
        self._session = _open_engine(file, brief)
        check_self_test(self._session, file, brief.plan.batch_size)

    def predict(self, chunk: Chunk) -> Outcome:
        """Run the images of a chunk; may be called from `LANES` threads at once.

        Raises:
            ParityError: a logit is not a number, depends on the batch, or all classes of an image have the same.
        """
        brief, session, pipeline = self._brief, self._session, self._pipeline
        dependence = measure_batch_dependence(session, brief.probe, pipeline) if chunk.number == 0 else None
        places = np.arange(len(chunk.images))
        batches = [
            self._restore(batch, chunk)
            for batch in stream_predictions(session, chunk.images, pipeline, places, brief.plan)
        ]
        return Outcome(batches, dependence)

    def _restore(self, batch: PredictionBatch, chunk: Chunk) -> PredictionBatch:
        bad, notes = (
            {int(chunk.indices[place]): why for place, why in (by_place or {}).items()}
            for by_place in (batch.bad, batch.notes)
        )
        indices = chunk.indices[batch.indices]
        return replace(batch, indices=indices, bad=bad, notes=notes, machine=self._machine)


def _check_images(brief: Brief) -> None:
    image, node = brief.probe.batch[0], platform.node()
    try:
        size = image.measure()[0]
    except DataError as error:
        raise DataError(f"{node} does not see the images: {error.problem}", MOUNT) from None
    if size != brief.probe_bytes:
        raise DataError(f"image {image} has {size} bytes on {node} and {brief.probe_bytes} here", MOUNT)


def _open_engine(file: EngineFile, brief: Brief) -> Session:
    device = file.manifest.device
    # Of several devices of a machine Ray shows an actor its own alone, which is then the first.
    seen = device if find_resource(device) is None else f"{device.partition(':')[0]}:0"
    engine = get_engine(file.manifest.engine)
    return engine.open(file, seen, brief.plan.batch_size, LANES * brief.plan.streams)


def open_evaluator(brief: bytes, fetch: Callable[[], PackedEngine]) -> Evaluator | SeatrialError:
    """The `Evaluator` of a pickled `Brief`, or the error that it raised."""
    try:
        return Evaluator(pickle.loads(brief), fetch)
    except SeatrialError as error:
        return error


def run_chunk(evaluator: Evaluator | SeatrialError, chunk: bytes) -> bytes:
    """Run a pickled `Chunk`; the pickled `Outcome`, or the error that was met."""
    outcome: Outcome | SeatrialError
    try:
        outcome = evaluator if isinstance(evaluator, SeatrialError) else evaluator.predict(pickle.loads(chunk))
    except SeatrialError as error:
        outcome = error
    return pickle.dumps(outcome)
