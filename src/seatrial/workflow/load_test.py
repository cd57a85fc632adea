"""`seatrial load-test`: MLPerf's LoadGen as the clock."""

from dataclasses import dataclass
from pathlib import Path

from seatrial.bench.loadgen.run import check_installed, run_loadgen
from seatrial.bench.loadgen.scenarios import MLPERF_S, PRESETS, SCENARIOS, TARGET_LATENCY_MS, WAIT_SHARE, LoadTestJob
from seatrial.engines.base import EngineFile, read_engine
from seatrial.engines.engine_folder import probe_engine
from seatrial.errors import ExitCode, UsageError
from seatrial.progress import Progress, Update, silent
from seatrial.store.imported import LoadTestRecord, LoadTestRun
from seatrial.strict import check_name
from seatrial.workflow.bench import choose_streams, prepare_folder

LATENCY_MISSED = "Performance constraints satisfied"
"""LoadGen's words for a server's target latency."""


@dataclass(frozen=True, slots=True)
class LoadTestSpec:
    """The settings of a load test."""

    scenario: str
    """One of `bench.loadgen.scenarios.SCENARIOS`."""
    preset: str = "quick"
    """One of `bench.loadgen.scenarios.PRESETS`: `mlperf` overrides smaller values below."""
    batch_sizes: tuple[int, ...] = (1, 4, 8, 16)
    """The largest that a query fills is the largest batch of the engine."""
    duration_s: float = 10.0
    min_samples: int = 50
    """Least number of queries, of images in scenario offline."""
    streams: int | None = None
    """None takes those that tuning chose, where several queries may run at once, else one."""
    target_qps: float | None = None
    target_latency_ms: float | None = None


def run_load_test(
    folder: Path | EngineFile, spec: LoadTestSpec, output: Path, images: Path | None = None, progress: Progress = silent
) -> LoadTestRecord:
    """Load-test an engine, and write the record to `output`, LoadGen's files to a folder beside it.

    Args:
        images: a folder of images; None takes random bytes.

    Raises:
        UsageError: the settings do not fit the scenario, or the folder is no engine folder.
        EngineError: LoadGen is not installed, or its process died.
        DataError: the images are missing.
    """
    check_installed()
    file = probe_engine(read_engine(folder))
    job = make_job(file, spec, output.with_suffix(".mlperf"))
    if images is not None:
        pixels = prepare_folder(file, images, output, PRESETS[job.preset])
        job = job.model_copy(update={"images": pixels.resolve()})
    least_s = max(job.duration_s, MLPERF_S if job.preset == "mlperf" else 0)
    note = f"{job.scenario} on {file.folder.name}: LoadGen takes {least_s:g} s or more"
    progress(Update("load", note=note))
    progress(Update("load", doing=f"{job.scenario} on {file.folder.name}"))
    record = run_loadgen(file, job)
    record.save(output)
    return record


def judge_load_test(run: LoadTestRun) -> ExitCode:
    """`PASS` for a valid run, `SPEED` where a server missed its latency, `INCONCLUSIVE` where it was too short."""
    if any(words.startswith(LATENCY_MISSED) for words in run.unmet):
        return ExitCode.SPEED
    return ExitCode.INCONCLUSIVE if run.unmet else ExitCode.PASS


def make_job(file: EngineFile, spec: LoadTestSpec, logs: Path) -> LoadTestJob:
    """The job of LoadGen's process.

    Raises:
        UsageError: the settings do not fit the scenario, or the engine has no file for the batch size.
    """
    check_name(spec.scenario, SCENARIOS, f"there is no --scenario {spec.scenario}")
    check_name(spec.preset, PRESETS, f"there is no --preset {spec.preset}")
    _check_targets(spec)
    scenario, one_by_one = SCENARIOS[spec.scenario], spec.scenario.endswith("stream")
    target_latency_ms = spec.target_latency_ms or TARGET_LATENCY_MS
    return LoadTestJob.read(
        {
            "file": file,
            "device": file.manifest.device,
            "scenario": spec.scenario,
            "preset": spec.preset,
            "duration_s": spec.duration_s,
            "min_queries": max(spec.min_samples, scenario.least_queries),
            "batch_size": _choose_batch(file, spec),
            "streams": (spec.streams or 1) if one_by_one else choose_streams(file, spec.streams),
            "target_qps": spec.target_qps,
            "target_latency_ms": target_latency_ms,
            "wait_ms": WAIT_SHARE * target_latency_ms if spec.scenario == "server" else 0.0,
            "logs": logs,
        },
        "the load test",
    )


def _check_targets(spec: LoadTestSpec) -> None:
    """A setting that would be ignored is an error."""
    if spec.scenario == "server" and spec.target_qps is None:
        raise UsageError(
            "scenario server needs the images per second that arrive",
            "give --target-qps, such as 80 % of the rate of scenario offline",
        )
    if spec.target_qps is not None and spec.scenario.endswith("stream"):
        raise UsageError(
            f"scenario {spec.scenario} waits for each response and takes no --target-qps", "leave it out, or use server"
        )
    if spec.target_latency_ms is not None and spec.scenario != "server":
        raise UsageError(
            f"LoadGen judges no latency in scenario {spec.scenario}, so it takes no --target-latency-ms",
            "leave it out, or use server",
        )
    if spec.scenario == "single-stream" and (spec.streams or 1) > 1:
        raise UsageError(
            f"a single-stream query is one image, which {spec.streams} streams cannot share", "leave --streams out"
        )


def _choose_batch(file: EngineFile, spec: LoadTestSpec) -> int:
    images = SCENARIOS[spec.scenario].images if spec.scenario.endswith("stream") else None
    fitting = [size for size in spec.batch_sizes if images is None or size <= images]
    if not fitting:
        raise UsageError(
            f"a query of {spec.scenario} has {images} images, and --batch-size begins at {min(spec.batch_sizes)}",
            "leave --batch-size out",
        )
    chosen = max(fitting)
    _, built_for = file.pick(chosen)
    if built_for is not None and built_for < chosen:
        raise UsageError(
            f"{file.folder} has no file that takes batch {chosen} (its largest is {built_for})",
            f"give --batch-size {built_for}, or compile it with `--batch-size {chosen}`",
        )
    return chosen
