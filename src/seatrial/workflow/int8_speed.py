"""Whether the int8 engine that `seatrial compile` has made is slower than the float engine of the same graph."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from seatrial.bench.pair import CERTAIN, PAIR_S, PairJob, PairTimes, run_pair
from seatrial.engines import get_engine
from seatrial.engines.base import EngineFile, GraphFile
from seatrial.engines.engine_folder import BuildSpec, build_engine, read_graph
from seatrial.errors import SeatrialError
from seatrial.metrics.latency import Latency
from seatrial.progress import Progress, Update, silent
from seatrial.store.files import manifest_path
from seatrial.store.records import EngineManifest, GraphManifest

CHECKED = ("onnxruntime", "openvino", "tensorrt")
"""The engines that take int8 from the graph, and float beside it."""
FLOATS = ("fp16", "bf16", "tf32", "fp32")
"""The fastest first."""
ONLY_INT8 = ("float",)
"""Options that an engine has for int8 graphs alone."""


def check_int8_speed(
    graph: GraphFile,
    spec: BuildSpec,
    built: EngineFile,
    progress: Progress = silent,
    time_both: Callable[[PairJob], PairTimes] = run_pair,
) -> None:
    """Note where the int8 engine `built` of `graph` is certainly slower than the fastest float one, built for it.

    Nothing is noted where it is not, or where the float graph is not beside the int8 one.
    """
    manifest = built.manifest
    plain = find_float_graph(graph) if manifest.precision == "int8" and manifest.engine in CHECKED else None
    if plain is None:
        return
    rest = f"{PAIR_S:.0f} s besides building {plain.path.name} for it; --no-speed-check leaves it out"
    progress(Update("compile", doing=f"is int8 faster than float here ({rest})"))
    size = min(model.batch_size or 1 for model in manifest.files)
    sizes = (size,) if manifest.files[0].batch_size else ()
    options = {name: value for name, value in spec.options.items() if name not in ONLY_INT8}
    float_spec = replace(spec, precision=find_float(built), batch_sizes=sizes, options=options, tuning=None)
    try:
        with tempfile.TemporaryDirectory(prefix="seatrial-speed-") as folder:
            other = build_engine(plain, float_spec, Path(folder) / "float")
            times = time_both(PairJob(first=built, second=other, device=manifest.device, batch_size=size))
    except SeatrialError as error:
        progress(Update("compile", note=f"whether int8 is faster than float was not measured: {error.problem}"))
        return
    if times.ratio[0] > CERTAIN:
        progress(Update("compile", note=describe_slow(manifest, float_spec.precision, times, size)))


def find_float_graph(graph: GraphFile) -> GraphFile | None:
    """The fp32 graph that the int8 one was derived from, where it is in the same folder and unchanged."""
    origin = graph.manifest.origin
    beside = sorted(manifest_path(path) for path in graph.path.parent.glob("*.onnx")) if origin else []
    for path in beside:
        try:
            found = GraphManifest.load(path)
            alike = (found.precision, found.input, found.aipp) == ("fp32", graph.manifest.input, graph.manifest.aipp)
            if alike and origin in (found.sha256, found.origin):
                return read_graph(path.with_suffix(""))
        except (SeatrialError, OSError):
            continue  # It is about another file of the folder, which nobody asked for.
    return None


def find_float(built: EngineFile) -> str:
    """The fastest float precision that the engine makes of an fp32 graph on this machine: what int8 has to beat."""
    has = built.capabilities or get_engine(built.manifest.engine).probe()
    return next((name for name in FLOATS if name in has.precisions and name not in has.in_graph), "fp32")


def describe_slow(manifest: EngineManifest, precision: str, times: PairTimes, batch_size: int) -> str:
    """The warning, with both rates."""
    int8, plain = (
        Latency.of([ms for turn in turns for ms in turn], batch_size).images_per_s
        for turns in (times.first_ms, times.second_ms)
    )
    low, high = times.ratio
    return (
        f"warning: {manifest.engine} is slower in int8 than in {precision} here: "
        f"{int8:,.1f} images/s at batch {batch_size}, {precision} {plain:,.1f} "
        f"(a batch takes {low:.2f} to {high:.2f} times as long): int8 gains nothing there"
    )
