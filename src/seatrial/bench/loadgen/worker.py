"""The process in which LoadGen drives an engine: `python -m seatrial.bench.loadgen.worker`.

It takes a `LoadTestJob` on stdin and writes a `LoadTestResult` to stdout; for errors see `machine.isolated_process`.
LoadGen's figures are in the files that it writes (its interface: `loadgen/bindings/python_api.cc`).
"""

import contextlib
import json
import os
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from seatrial.bench.inputs import make_random_pixels, read_pixels
from seatrial.bench.loadgen.batcher import Batcher
from seatrial.bench.loadgen.scenarios import PRESETS, SCENARIOS, LoadTestJob, LoadTestResult
from seatrial.bench.measure import Limits, measure
from seatrial.bench.worker import explain_memory
from seatrial.data.preprocessing.input_pipeline import read_pipeline, to_input
from seatrial.engines import get_engine
from seatrial.engines.base import Engine, Session, run_padded
from seatrial.engines.self_test import check_self_test
from seatrial.machine.isolated_process import serve_job
from seatrial.store.json_text import write_json

SAMPLED = 64
"""Predictions that LoadGen records during the run."""
WARMUP_S = 1.0
"""Least time of warm-up; a tenth of a run that is shorter than ten seconds."""


def main() -> NoReturn:
    """Do the job on stdin, and end with exit code 0 or the error's."""
    code = 1
    try:
        code = serve_job(run_job)
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    # After an error LoadGen's threads wait for responses that will never come, and nothing else ends them.
    os._exit(code)


def run_job(fields: Mapping[str, Any]) -> str:
    """One load test: a `LoadTestResult` as JSON."""
    job = LoadTestJob.read(fields, "the job")
    job.file.verify()
    with explain_memory(job.batch_size, job.device):
        return write_json(load_test(job, get_engine(job.file.manifest.engine)))


def load_test(job: LoadTestJob, engine: Engine) -> LoadTestResult:
    """Open the engine file, warm it up, let LoadGen test it, and check the predictions that it recorded.

    Raises:
        EngineError: SDK or device is missing.
        DataError: the images are missing, or not what the engine takes.
    """
    import mlperf_loadgen

    pipeline = read_pipeline(job.file.manifest.graph)
    library = PRESETS[job.preset]
    pixels = read_pixels(job.images, pipeline) if job.images else make_random_pixels(pipeline, count=library)
    with engine.open(job.file, job.device, job.batch_size, job.streams) as session:
        check_self_test(session, job.file, job.batch_size)
        classifier = Classifier(session, to_input(np.array(pixels[:library]), session.input, pipeline))
        settings = make_settings(mlperf_loadgen, job, warm_up(classifier, job))
        queries = run_queries(mlperf_loadgen, classifier, settings, job)
        sampled = read_predictions((job.logs / "mlperf_log_accuracy.json").read_text(encoding="utf-8"))
        sent = {"offline": settings.offline_expected_qps, "server": settings.server_target_qps}
        return LoadTestResult(
            queries=queries,
            library=len(classifier.inputs),
            target_qps=sent.get(job.scenario),
            sampled=len(sampled),
            differing=count_differing(classifier, sampled, job.batch_size),
        )


@dataclass(frozen=True, slots=True)
class Classifier:
    """An engine and the images that LoadGen chooses by number, all in memory and as the engine takes them."""

    session: Session
    inputs: NDArray[Any]

    def classify(self, indices: Sequence[int]) -> NDArray[np.int32]:
        """The best class of each image."""
        classes: NDArray[np.int32] = run_padded(self.session, self.inputs[indices]).argmax(axis=1).astype(np.int32)
        return classes


def warm_up(classifier: Classifier, job: LoadTestJob) -> float:
    """Run full batches until times settle, and a server's smaller ones once, as some engines prepare for each size.

    Returns:
        Milliseconds of the fastest batch: LoadGen draws its queries by it beforehand, and a run that is through them
        ends, be it too early.
    """
    any_size = job.scenario == "server" and classifier.session.input.shape[0] is None
    for size in range(1, job.batch_size) if any_size else ():
        classifier.classify([index % len(classifier.inputs) for index in range(size)])
    batches = [
        [(start + index) % len(classifier.inputs) for index in range(job.batch_size)]
        for start in range(0, len(classifier.inputs), job.batch_size)
    ]
    seconds = min(WARMUP_S, job.duration_s / 10)
    limits = Limits(
        warmup_runs=4, warmup_s=seconds, warmup_budget_s=10 * seconds, duration_s=seconds, min_samples=5 * job.streams
    )
    samples = measure(lambda run: classifier.classify(batches[run % len(batches)]), limits, job.streams)
    return min(samples.durations_ms)


def make_settings(loadgen: Any, job: LoadTestJob, batch_ms: float) -> Any:
    """LoadGen's `TestSettings`, for an engine that takes `batch_ms` for a full batch."""
    scenario = SCENARIOS[job.scenario]
    settings = loadgen.TestSettings()
    least_ms = least_queries = 0
    if job.preset == "mlperf":
        # LoadGen carries MLPerf's rules: an empty user.conf leaves them as they are.
        settings.FromConfig(os.devnull, "resnet50", scenario.name, 1)
        least_ms, least_queries = settings.min_duration_ms, settings.min_query_count
        # The library's own size; the override may be larger than a library.
        settings.performance_sample_count_override = 0
    settings.scenario = getattr(loadgen.TestScenario, scenario.name)
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms = max(round(1000 * job.duration_s), least_ms)
    settings.min_query_count = max(job.min_queries, least_queries)
    settings.accuracy_log_sampling_target = SAMPLED
    settings.offline_expected_qps = job.target_qps or 1000 * job.batch_size * job.streams / batch_ms
    settings.server_target_qps = job.target_qps or settings.server_target_qps
    settings.server_target_latency_ns = round(1e6 * job.target_latency_ms)
    rounds = -(-(scenario.images or 1) // (job.batch_size * job.streams))
    # Twice as many as that speed needs; those that are left over cost nothing, while offline sends all it has drawn.
    expected_ns = 1e6 * rounds * batch_ms / 2
    settings.single_stream_expected_latency_ns = settings.multi_stream_expected_latency_ns = expected_ns
    return settings


class System:
    """What LoadGen calls the system under test: takes queries, counts them, and runs them in batches."""

    def __init__(self, loadgen: Any, classifier: Classifier, job: LoadTestJob) -> None:
        self.queries = 0
        self.done: Future[None] = Future()
        """Done when the test is over, or with the first error."""
        self._loadgen, self._classifier, self._batch_size = loadgen, classifier, job.batch_size
        # Queries of the streams come one after another: handing each to another thread would only cost time.
        one_by_one = job.scenario.endswith("stream") and job.streams == 1
        self._batcher = None if one_by_one else Batcher(self._process, job.batch_size, job.streams, job.wait_ms / 1000)
        self._take = self._process if self._batcher is None else self._batcher.put

    def issue(self, samples: Sequence[Any]) -> None:
        """One query of LoadGen's."""
        self.queries += 1
        self._take(samples)

    def give_up(self, error: BaseException) -> None:
        """Process nothing more."""
        with contextlib.suppress(InvalidStateError):
            self.done.set_exception(error)

    def close(self) -> None:
        """Return when no thread uses the engine any more."""
        if self._batcher is not None:
            self._batcher.close()

    def _process(self, samples: Sequence[Any]) -> None:
        # No exception may reach LoadGen, which would abort the process.
        try:
            for start in range(0, len(samples), self._batch_size):
                if self.done.done():
                    return
                complete(self._loadgen, self._classifier, samples[start : start + self._batch_size])
        except BaseException as error:
            self.give_up(error)


def complete(loadgen: Any, classifier: Classifier, samples: Sequence[Any]) -> None:
    """Complete samples with their classes, four bytes each."""
    classes = classifier.classify([sample.index for sample in samples])
    # LoadGen has copied what it keeps of the bytes when the call returns.
    first, step = classes.ctypes.data, classes.itemsize
    loadgen.QuerySamplesComplete(
        [loadgen.QuerySampleResponse(sample.id, first + step * row, step) for row, sample in enumerate(samples)]
    )


def run_queries(loadgen: Any, classifier: Classifier, settings: Any, job: LoadTestJob) -> int:
    """Let LoadGen send queries until it has enough; the number of them.

    Raises:
        Exception: whatever the engine raised first; LoadGen's own threads are then left waiting.
    """
    system = System(loadgen, classifier, job)

    def test() -> None:
        try:
            run_test(loadgen, system, len(classifier.inputs), settings, job.logs)
            system.done.set_result(None)
        except BaseException as error:
            system.give_up(error)

    threading.Thread(target=test, daemon=True).start()
    with contextlib.closing(system):
        system.done.result()
    return system.queries


def run_test(loadgen: Any, system: System, library: int, settings: Any, logs: Path) -> None:
    """One test of LoadGen; blocks until it has written its files."""
    log = loadgen.LogSettings()
    log.enable_trace = False
    log.log_output.outdir = str(logs)
    log.log_output.copy_summary_to_stdout = False
    under_test = loadgen.ConstructSUT(system.issue, lambda: None)
    # The whole library is in memory before LoadGen loads it.
    images = loadgen.ConstructQSL(library, library, lambda indices: None, lambda indices: None)
    # Without a name it would take an audit.config that happens to lie in the current folder.
    loadgen.StartTestWithLogSettings(under_test, images, settings, log, "")
    loadgen.DestroyQSL(images)
    loadgen.DestroySUT(under_test)


def read_predictions(text: str) -> list[tuple[int, int]]:
    """Image and class of each prediction in LoadGen's `mlperf_log_accuracy.json`."""
    entries = json.loads(text)
    return [
        (entry["qsl_idx"], int.from_bytes(bytes.fromhex(entry["data"]), sys.byteorder, signed=True))
        for entry in entries
    ]


def count_differing(classifier: Classifier, sampled: Sequence[tuple[int, int]], batch_size: int) -> int:
    """How many of these predictions differ in another run."""
    differing = 0
    for start in range(0, len(sampled), batch_size):
        part = sampled[start : start + batch_size]
        again = classifier.classify([index for index, _ in part])
        differing += sum(before != int(now) for (_, before), now in zip(part, again, strict=True))
    return differing


if __name__ == "__main__":
    main()
