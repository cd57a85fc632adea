"""`trtexec`: compile and measure, with the lines that its log has."""

import re
import secrets
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.cli.compat.call import Call, Flag, Plan, Tool
from seatrial.cli.compat.engines import choose_engine
from seatrial.cli.compat.graphs import Words, name_recipe, pin_batch, read_input
from seatrial.cli.output.progress import print_lines
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.store.measurement import Measurement, Point
    from seatrial.store.records import TensorSpec

DURATION_S, ITERATIONS = "3", "10"
"""trtexec's defaults of the least time and number of runs."""
DEVICE_TIMED = ("tensorrt", "ascend")
"""Engines that time copies and computing apart, on any of their devices."""
SHAPE = re.compile(r"(?:(?P<name>[^:]+):)?(?P<sizes>\d+(?:x\d+)*)")
PERCENTILES = (90, 95, 99)
NOT_APART = "copies are not timed apart here: GPU compute time is the host's of one whole run"


@dataclass(frozen=True, slots=True)
class _Measured:
    """The engine folder to measure."""

    folder: str
    engine: str
    device: str
    batch: int
    commands: tuple[Words, ...]
    """That make it."""
    notes: tuple[str, ...]

    @property
    def is_timed(self) -> bool:
        """Whether it times copies and computing apart."""
        return self.engine in DEVICE_TIMED or (self.engine == "torch" and self.device != "cpu")


def plan_trtexec(call: Call) -> Plan:
    """`--onnx` is `compile`, then `bench`; `--loadEngine` is `bench` of an engine folder.

    Raises:
        UsageError: neither or both are given, or the shape is not the graph's.
        EngineError: no engine can be used here.
    """
    if ("loadEngine" in call.values) == ("onnx" in call.values):
        raise UsageError("trtexec takes --onnx=FILE or --loadEngine=FOLDER", "give one of them")
    # Nobody else's name; the commands make the folder.
    scratch = Path(tempfile.gettempdir()) / f"seatrial-trtexec-{secrets.token_hex(8)}"
    made = _load(call) if "loadEngine" in call.values else _compile(call, scratch / "model.engine")
    if call.is_true("buildOnly"):
        return Plan(made.commands, made.notes, scratch=scratch, is_quiet=True)
    record = scratch / "measurement.json"
    scopes = "device,host" if made.is_timed else "host"
    measuring = ("bench", made.folder, "--batch-size", str(made.batch), "--scope", scopes, "--output", str(record))
    line = shlex.join(("trtexec", *call.words))
    source = call.values.get("onnx", made.folder)

    def show() -> None:
        lines = write_log(record, Path(made.folder), source, "batch" in call.values)
        print_lines(*lines, f"&&&& PASSED seatrial.trtexec # {line}")

    return Plan(
        (*made.commands, (*measuring, *_write_limits(call))),
        made.notes if made.is_timed else (*made.notes, NOT_APART),
        (f"&&&& RUNNING seatrial.trtexec # {line}",),
        show,
        is_quiet=True,
        scratch=scratch,
    )


def _compile(call: Call, unsaved: Path) -> _Measured:
    """The engine of `--onnx`, at `unsaved` where it is not to be kept."""
    source, folder = Path(call.need("onnx")), call.values.get("saveEngine", str(unsaved))
    spec = read_input(source)
    batch, doubt = _read_batch(call, spec)
    chosen = choose_engine(call, "fp16" if call.is_true("fp16") else "fp32", npu=False)
    graph, pinning = pin_batch(source, spec, (batch,))
    recipe, reason = name_recipe(call, source)
    words = ("compile", str(graph), *chosen.options, "--batch-size", str(batch), "--output", folder, *recipe)
    notes = (*doubt, chosen.note, *reason)
    return _Measured(folder, chosen.engine, chosen.device, batch, (*pinning, words), notes)


def _load(call: Call) -> _Measured:
    """The engine folder of `--loadEngine`."""
    from seatrial.engines.base import MANIFEST
    from seatrial.store.records import EngineManifest

    folder = call.need("loadEngine")
    if not (Path(folder) / MANIFEST).is_file():
        fix = "`seatrial compat trtexec --onnx=FILE --saveEngine=FOLDER` makes one"
        raise UsageError(f"trtexec: {folder} is no engine folder", fix)
    manifest = EngineManifest.load(Path(folder) / MANIFEST)
    fixed = min((model.batch_size for model in manifest.files if model.batch_size is not None), default=None)
    spec = manifest.input.model_copy(update={"shape": (fixed, *manifest.input.shape[1:])})
    batch, doubt = _read_batch(call, spec)
    note = f"{folder} runs on {manifest.device}, by {manifest.engine} {manifest.precision}"
    return _Measured(folder, manifest.engine, manifest.device, batch, (), (*doubt, note))


def _read_batch(call: Call, spec: "TensorSpec") -> tuple[int, Words]:
    """The batch size of `--shapes` or `--batch`, else the fixed one, else 1, as trtexec has it, with a note on that."""
    text = call.values.get("shapes")
    if text is None:
        given = call.values.get("batch", str(spec.shape[0] or 1))
        if not given.isdecimal() or int(given) < 1:
            raise UsageError(f"trtexec: --batch={given} is not a whole number above 0", "write it like --batch=16")
        is_free = "batch" not in call.values and spec.shape[0] is None
        return int(given), ("no --shapes: batch 1, as trtexec takes it",) if is_free else ()
    found = SHAPE.fullmatch(text.strip(" '\"“”"))
    sizes = [int(size) for size in found["sizes"].split("x")] if found else []
    own = spec.shape
    if (
        found is None
        or found["name"] not in (None, spec.name)
        or len(sizes) != len(own)
        or any(have not in (None, want) for have, want in zip(own[1:], sizes[1:], strict=True))
    ):
        shape = "x".join("N" if size is None else str(size) for size in own)
        raise UsageError(f"trtexec: --shapes={text} is not of this graph", f"its input is {spec.name}:{shape}")
    return sizes[0], ()


def _write_limits(call: Call) -> Words:
    """How long `bench` measures, in one process and on one stream, as trtexec does, whatever tuning chose."""
    iterations, duration = call.values.get("iterations", ITERATIONS), call.values.get("duration", DURATION_S)
    if duration == "0":
        return ("--loop", iterations)
    return ("--duration", duration, "--min-samples", iterations, "--processes", "1", "--streams", "1")


def write_log(record: Path, engine: Path, source: str, is_implicit: bool = False) -> Iterator[str]:
    """The lines of trtexec's log between its first and last, of a measurement of one batch size.

    Args:
        source: what was measured, as it was given.
        is_implicit: the batch was given by `--batch`: then the log calls an image a query, and not a batch.
    """
    from seatrial.engines.base import MANIFEST
    from seatrial.store.measurement import Measurement
    from seatrial.store.records import EngineManifest

    measured, manifest = Measurement.load(record), EngineManifest.load(engine / MANIFEST)
    (host,) = measured.by_setting("host").values()
    on_device = [point for points in measured.by_setting("device").values() for point in points]
    spec, batch = manifest.input, host[0].batch_size
    shape = "x".join(str(size) for size in (batch, *spec.shape[1:]))
    stated = batch if is_implicit else "Explicit"
    lines = (
        *("=== Model Options ===", "Format: ONNX", f"Model: {source}"),
        *("=== Build Options ===", f"Precision: {manifest.precision.upper()}"),
        *(
            "=== Inference Options ===",
            f"Batch: {stated}",
            f"Input inference shape: {spec.name}={shape}",
        ),
        *("Inference Streams: 1", f"Data transfers: {'Enabled' if on_device else 'Disabled'}"),
        *("=== Device Information ===", f"Selected Device: {_name_device(measured, manifest.device)}"),
        *_write_summary(host, on_device, batch if is_implicit else 1),
    )
    yield from (f"[I] {each}" for each in lines)


def _name_device(measured: "Measurement", device: str) -> str:
    accelerators = measured.environment.accelerators
    return accelerators[0].name if accelerators and device != "cpu" else measured.environment.cpu


def _write_summary(host: Sequence["Point"], on_device: Sequence["Point"], queries: int) -> Iterator[str]:
    """Throughput and latencies; where nothing is timed on the device, computing is the host's time, copies are 0.

    Args:
        queries: of one run.
    """
    times = [ms for point in host for ms in point.durations_ms]
    computing = [ms for point in on_device for ms in point.durations_ms] or times
    copies_in = [ms for point in on_device for ms in point.copy_in_ms] or [0.0] * len(computing)
    copies_out = [ms for point in on_device for ms in point.copy_out_ms] or [0.0] * len(computing)
    warm_up_ms = sum((*host[0].warmup_ms, host[0].first_inference_ms))
    yield f"Warmup completed {queries * host[0].warmup} queries over {warm_up_ms:g} ms"
    yield f"Timing trace has {queries * len(times)} queries over {sum(times) / 1000:g} s"
    yield "=== Performance summary ==="
    yield f"Throughput: {1000 * queries * len(times) / sum(times):g} qps"
    latency = [sum(parts) for parts in zip(copies_in, computing, copies_out, strict=True)]
    kinds = {"Latency": latency, "H2D Latency": copies_in, "GPU Compute Time": computing, "D2H Latency": copies_out}
    for name, values in kinds.items():
        yield f"{name}: {_list_figures(values)}"
    yield f"Total Host Walltime: {sum(times) / 1000:g} s"
    yield f"Total GPU Compute Time: {sum(computing) / 1000:g} s"


def _list_figures(times: Sequence[float]) -> str:
    import numpy as np

    figures = {"min": min(times), "max": max(times), "mean": float(np.mean(times)), "median": float(np.median(times))}
    figures |= {f"percentile({share}%)": float(np.percentile(times, share)) for share in PERCENTILES}
    return ", ".join(f"{name} = {ms:g} ms" for name, ms in figures.items())


NOT_CHOSEN = "the engine chooses it"
PRECISION = "give an int8 graph: `seatrial quantize` makes one"
TOOLS = (
    Tool(
        ("trtexec",),
        "--onnx=FILE or --loadEngine=FOLDER, [--saveEngine=FOLDER] [--fp16] [--shapes=NAME:NxCxHxW] …",
        "compile, bench",
        plan_trtexec,
        (
            Flag(("onnx",), means="GRAPH of `compile`"),
            Flag(("saveEngine",), means="`--output FOLDER` of `compile`; without it the engine is removed in the end"),
            Flag(("loadEngine",), means="FOLDER of `bench`"),
            Flag(("fp16",), takes="none", means="`--precision fp16` where a device other than a CPU has it"),
            Flag(("shapes", "optShapes"), means="`--batch-size N`; the rest must be the graph's own"),
            Flag(("batch",), means="`--batch-size N`"),
            Flag(("iterations",), means="`--min-samples N`; with `--duration=0` `--loop N`"),
            Flag(("duration",), means="`--duration S`"),
            Flag(("buildOnly", "skipInference"), takes="none", means="no `bench`"),
            *(Flag((name,), dropped="one shape is built") for name in ("minShapes", "maxShapes")),
            *(Flag((name,), dropped=NOT_CHOSEN) for name in ("workspace", "memPoolSize", "builderOptimizationLevel")),
            *(Flag((name,), dropped="warm-up lasts until times have settled") for name in ("warmUp",)),
            *(Flag((name,), dropped="all samples are summarised") for name in ("avgRuns", "percentile", "idleTime")),
            *(
                Flag((name,), takes="none", dropped=NOT_CHOSEN)
                for name in ("threads", "useSpinWait", "useCudaGraph", "explicitBatch", "verbose", "noTF32")
            ),
            Flag(("int8",), takes="none", refused=PRECISION),
            Flag(("best",), takes="none", refused="TensorRT would choose it: give --fp16, or nothing for fp32"),
            Flag(("streams", "infStreams"), refused="`seatrial bench --streams N` measures several", unless=("1",)),
            Flag(("device",), refused="write `seatrial compat --engine tensorrt@cuda:N trtexec …`", unless=("0",)),
        ),
    ),
)
