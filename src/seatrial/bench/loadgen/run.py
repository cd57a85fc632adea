"""A run of LoadGen in a process of its own, and the record that its summary becomes."""

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator

from seatrial.bench.inputs import RANDOM_BYTES
from seatrial.bench.loadgen.scenarios import MLPERF_LIBRARY, LoadTestJob, LoadTestResult
from seatrial.bench.spread import doubt_device, find_doubts
from seatrial.bench.sweep import doubt_padding
from seatrial.bench.vendor_logs import read_log
from seatrial.bench.vendor_logs.log import load_log
from seatrial.bench.vendor_logs.mlperf import ONE_SYSTEM, read_unmet
from seatrial.bench.vendor_logs.reading import LogHints, Reading
from seatrial.engines.base import EngineFile
from seatrial.errors import EngineError
from seatrial.extras import write_install
from seatrial.machine.conditions import read_conditions
from seatrial.machine.device_use import read_device_use
from seatrial.machine.environment import DEFAULT, read_environment
from seatrial.machine.isolated_process import PYTHON, call_child
from seatrial.store.files import make_folder, replacing
from seatrial.store.imported import ImportedPoint, LoadTestRecord, LoadTestRun
from seatrial.store.json_text import write_json
from seatrial.store.measurement import Environment

WORKER: tuple[str, ...] = (*PYTHON, "seatrial.bench.loadgen.worker")
PACKAGE = "mlcommons-loadgen"
SUMMARY = "mlperf_log_summary.txt"


def check_installed() -> None:
    """Refuse a machine without LoadGen.

    Raises:
        EngineError: names the package.
    """
    if importlib.util.find_spec("mlperf_loadgen") is not None:
        return
    fix = write_install("mlperf")
    if sys.version_info >= (3, 14):
        fix += f" on Python 3.13 or older: it has no wheels for {sys.version_info.major}.{sys.version_info.minor}"
    raise EngineError("MLPerf's LoadGen is not installed", fix)


def run_loadgen(file: EngineFile, job: LoadTestJob) -> LoadTestRecord:
    """Let LoadGen, which is installed, test an engine, and read its figures; blocks until its run is over.

    The record takes its name from the folder of logs, which is whole or absent.

    Raises:
        EngineError: the SDK or the device is missing, or the process died.
        DataError: the images are missing, or not what the engine takes.
        RefusedFile: LoadGen's summary lacks something.
    """
    environment = read_environment((*DEFAULT, PACKAGE))
    doubts = (
        *doubt_padding(file, (job.batch_size,)),
        *find_doubts((), environment, read_conditions()),
        *doubt_device((read_device_use(job.device),)),
    )
    with replacing(job.logs) as temporary:
        result = _run_worker(job.model_copy(update={"logs": make_folder(temporary).resolve()}))
    return _read_record(file, job, result, environment, doubts)


def _run_worker(job: LoadTestJob) -> LoadTestResult:
    what = f"the process that LoadGen ran in ({job.scenario} on {job.device})"
    return call_child(WORKER, write_json(job), LoadTestResult, what, on_cpu=job.device == "cpu")


def _read_record(
    file: EngineFile, job: LoadTestJob, result: LoadTestResult, environment: Environment, doubts: tuple[str, ...]
) -> LoadTestRecord:
    manifest, summary = file.manifest, job.logs / SUMMARY
    batch_size = job.batch_size if job.scenario in ("offline", "server") else None
    tool, log, reading = read_log(summary, "mlperf", LogHints(batch_size))
    own = LoadTestRun(
        engine=manifest.engine,
        executed=manifest.executed,
        graph_sha256=manifest.graph.sha256,
        preprocess_hash=manifest.graph.preprocess_hash,
        inputs=_describe_inputs(job, result),
        scenario=job.scenario,
        preset=job.preset,
        batch_size=job.batch_size,
        wait_ms=job.wait_ms,
        target_qps=result.target_qps,
        target_latency_ms=job.target_latency_ms if job.scenario == "server" else None,
        unmet=read_unmet(load_log(summary)),
        sampled=result.sampled,
        differing=result.differing,
        environment=environment,
    )
    return LoadTestRecord(
        name=job.logs.stem, tool=tool, tool_version=importlib.metadata.version(PACKAGE),
        model=manifest.graph.recipe["name"],
        device=job.device, precision=manifest.precision, chips_per_card=None, files=(log,),
        points=tuple(_fill_point(point, job, result) for point in reading.points),
        doubts=(*doubts, *_doubt_run(job, result, reading)), own=own,
    )  # fmt: skip


def _describe_inputs(job: LoadTestJob, result: LoadTestResult) -> str:
    source = f"images of {job.images}" if job.images else RANDOM_BYTES
    return f"{source}; {result.library} different ones"


def _fill_point(point: ImportedPoint, job: LoadTestJob, result: LoadTestResult) -> ImportedPoint:
    latency = point.latency
    if latency is not None and latency.count is None:
        latency = latency.model_copy(update={"count": result.queries})
    return point.model_copy(update={"latency": latency, "streams": job.streams})


def _doubt_run(job: LoadTestJob, result: LoadTestResult, reading: Reading) -> Iterator[str]:
    yield from (doubt for doubt in reading.doubts if not doubt.endswith(ONE_SYSTEM))
    if job.preset == "mlperf" and result.library < MLPERF_LIBRARY:
        yield f"{result.library} different images were used, MLPerf's rules require {MLPERF_LIBRARY}"
    if result.sampled == 0:
        yield "LoadGen recorded no predictions, so none was checked"
    elif result.differing:
        yield (
            f"{result.differing} of {result.sampled} predictions of the run differ when the engine runs again: "
            "close classes in batches of another size, or an engine that is wrong under load"
        )
