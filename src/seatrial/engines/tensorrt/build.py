"""Graph to plan, with `trtexec` or with TensorRT's Python builder, for TensorRT 8.6 to 11."""

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.engines.tensorrt.cuda import use_gpu
from seatrial.engines.tensorrt.options import Settings
from seatrial.engines.tensorrt.session import Shape, get_logger, read_error
from seatrial.errors import EngineError, shorten
from seatrial.store.files import replacing

Version = tuple[int, int, int]
MEBIBYTE = 1024 * 1024
FIRST_TYPED = 11
"""From this version on every network is strongly typed: fp16 too must be in the graph, and its flags are gone."""


@dataclass(frozen=True, slots=True)
class PlanJob:
    """One plan to build."""

    graph: Path
    graph_precision: str
    target: Path
    """The plan; its log is beside it."""
    precision: str
    gpu: int
    input: str
    shapes: tuple[Shape, Shape, Shape] | None
    """Smallest, preferred and largest input; None when the graph itself is fixed."""
    version: str
    """Of the `tensorrt` package, as "10.3.0"."""
    settings: Settings

    @property
    def major(self) -> int:
        """The version's first number."""
        return read_numbers(self.version)[0]

    @property
    def typed(self) -> bool:
        """Whether the graph's own types are binding."""
        return self.major >= FIRST_TYPED or (self.major >= 10 and self.graph_precision == "fp16")

    @property
    def flags(self) -> tuple[str, ...]:
        """Precisions that the builder must be allowed besides fp32."""
        return () if self.typed or self.precision not in ("fp16", "int8") else (self.precision,)

    @property
    def log(self) -> Path:
        """What the builder printed, below the command."""
        return self.target.with_suffix(".log")

    @property
    def timing_cache(self) -> Path:
        """The user's, or the engine folder's, shared by its plans."""
        return self.settings.timing_cache or self.target.parent / "timing.cache"


def build_plan(job: PlanJob) -> None:
    """Write the plan and its log.

    Raises:
        EngineError: the builder is missing or fails, in its own words.
    """
    found = shutil.which("trtexec")
    builder = job.settings.builder or ("trtexec" if found else "python")
    if builder == "python":
        build_in_process(job)
    elif found is None:
        raise EngineError("trtexec is not on the PATH", "add TensorRT's bin folder to it, or take builder=python")
    else:
        run_trtexec(job, found)


def write_command(job: PlanJob, trtexec: str = "trtexec") -> list[str]:
    """The words of the command that builds the plan, run in the plan's folder."""
    words = [trtexec, f"--onnx={job.graph.absolute()}", f"--saveEngine={job.target.name}", "--skipInference"]
    words += ["--profilingVerbosity=detailed", f"--device={job.gpu}"]
    if job.shapes is not None:
        for name, shape in zip(("min", "opt", "max"), job.shapes, strict=True):
            words.append(f"--{name}Shapes={job.input}:{'x'.join(map(str, shape))}")
    words += [f"--{flag}" for flag in job.flags]
    if job.precision != "tf32":
        # TensorRT takes TF32 for float32 by default; here fp32 means fp32.
        words.append("--noTF32")
    if job.typed and job.major < FIRST_TYPED:
        words.append("--stronglyTyped")
    if job.major < 10:
        # Without it only one execution context may use the profile, and with it one stream. Later it is the default.
        words.append("--preview=+profileSharing0806")
    if job.settings.workspace_mb is not None:
        words.append(f"--memPoolSize=workspace:{job.settings.workspace_mb}")
    if job.settings.level is not None:
        words.append(f"--builderOptimizationLevel={job.settings.level}")
    cache = job.settings.timing_cache
    return [*words, f"--timingCacheFile={cache or job.timing_cache.name}"]


def run_trtexec(job: PlanJob, trtexec: str) -> None:
    """Build with `trtexec`; its log begins with the command.

    Raises:
        EngineError: it fails, or belongs to another TensorRT than the Python package.
    """
    command = write_command(job, str(Path(trtexec).absolute()))
    with job.log.open("w", encoding="utf-8") as log:
        log.write(shlex.join(command) + "\n")
        log.flush()
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=job.target.parent, check=False
        )
    text = job.log.read_text(encoding="utf-8", errors="replace")
    other = read_version(text)
    if other is not None and other != read_numbers(job.version):
        raise EngineError(
            f"trtexec is TensorRT {'.'.join(map(str, other))} and the Python package {job.version}, "
            "and neither runs the other's plans",
            "put the matching trtexec first on the PATH, or take --option builder=python",
        )
    if done.returncode != 0 or not job.target.is_file():
        raise EngineError(f"trtexec builds no plan: {find_reason(text)}", f"to see it all: {shlex.join(command)}")


def read_numbers(version: str) -> Version:
    """The first three numbers of a version."""
    major, minor, patch = (*map(int, re.findall(r"\d+", version)), 0, 0, 0)[:3]
    return major, minor, patch


def read_version(log: str) -> Version | None:
    """The version that `trtexec` reports: v8601 is 8.6.1, v100300 is 10.3.0; None where there is none."""
    found = re.search(r"\[TensorRT v(\d+)\]", log)
    if found is None:
        return None
    number = int(found[1])
    major, rest = divmod(number, 1000 if number < 10000 else 10000)
    return major, *divmod(rest, 100)


def find_reason(log: str) -> str:
    """The first error in a log of `trtexec`, in one line: those that follow are its consequences."""
    for pattern in (r"^\[[^]]*\] \[E\] (?:\[TRT\] )?(.*\S)", r"^(&&&& FAILED.*)"):
        found = re.search(pattern, log, re.MULTILINE)
        if found is not None:
            return shorten(found[1])
    lines = [line for line in log.splitlines()[1:] if line.strip()]
    return shorten(lines[-1]) if lines else "it printed nothing"


def build_in_process(job: PlanJob) -> None:
    """Build with TensorRT's Python API.

    Raises:
        EngineError: the graph is not parsed or the plan not built, in TensorRT's words.
    """
    logger = get_logger()
    logger.errors.clear()
    use_gpu(job.gpu)
    with job.log.open("w", encoding="utf-8") as log:
        log.write(f"tensorrt {job.version} in Python, as {shlex.join(write_command(job))}\n")
        logger.sink = log
        try:
            plan = _build_serialized(job, logger)
        finally:
            logger.sink = None
    if plan is None:
        raise EngineError(
            f"tensorrt builds no plan: {read_error(first=True)}", "free GPU memory, or try --option builder=trtexec"
        )
    job.target.write_bytes(plan)


def _build_serialized(job: PlanJob, logger: Any) -> Any:
    import tensorrt

    builder = tensorrt.Builder(logger)
    kinds = tensorrt.NetworkDefinitionCreationFlag
    # Version 8 needs it, 10 still has it, 11 does not.
    wanted = [kinds.EXPLICIT_BATCH] if job.major < 10 else []
    # From 11 on there are no other networks.
    wanted += [kinds.STRONGLY_TYPED] if job.typed and job.major < FIRST_TYPED else []
    network = builder.create_network(sum(1 << int(flag) for flag in wanted))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(job.graph.absolute())):
        reason = parser.get_error(0).desc() if parser.num_errors else read_error(first=True)
        raise EngineError(f"tensorrt does not parse {job.graph.name}: {shorten(reason)}", "export with another --opset")
    config = _configure(job, builder, tensorrt)
    plan = builder.build_serialized_network(network, config)
    if plan is not None:
        with replacing(job.timing_cache) as file:
            file.write_bytes(config.get_timing_cache().serialize())
    return plan


def _configure(job: PlanJob, builder: Any, tensorrt: Any) -> Any:
    config, flags = builder.create_builder_config(), tensorrt.BuilderFlag
    for flag in job.flags:
        config.set_flag(getattr(flags, flag.upper()))
    (config.set_flag if job.precision == "tf32" else config.clear_flag)(flags.TF32)
    config.profiling_verbosity = tensorrt.ProfilingVerbosity.DETAILED
    if job.major < 10:
        config.set_preview_feature(tensorrt.PreviewFeature.PROFILE_SHARING_0806, True)
    if job.settings.workspace_mb is not None:
        config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, job.settings.workspace_mb * MEBIBYTE)
    if job.settings.level is not None:
        config.builder_optimization_level = job.settings.level
    if job.shapes is not None:
        profile = builder.create_optimization_profile()
        profile.set_shape(job.input, *job.shapes)
        config.add_optimization_profile(profile)
    known = job.timing_cache.read_bytes() if job.timing_cache.is_file() else b""
    if not config.set_timing_cache(config.create_timing_cache(known), ignore_mismatch=False):
        raise EngineError(f"tensorrt does not take the timing cache {job.timing_cache}", "delete it, or give another")
    return config
