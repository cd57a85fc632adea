"""`seatrial compile`: a graph to an engine folder, by way of the graph that the engine wants; how engines are named."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seatrial.data.loading.batches import load_batch
from seatrial.data.preprocessing.aipp import Aipp
from seatrial.data.preprocessing.input_pipeline import describe_behind_aipp, read_pipeline
from seatrial.engines import ENGINES, get_engine, list_engines
from seatrial.engines.base import (
    PRECISIONS,
    Capabilities,
    EngineFile,
    GraphFile,
    check_device,
    check_precision,
    check_usable,
)
from seatrial.engines.engine_folder import BuildSpec, build_engine, find_built, read_graph
from seatrial.errors import EngineError, SeatrialError, UsageError, first_line
from seatrial.machine.environment import machine_hash, read_environment
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.store.descriptions import ENGINES as KNOWN_ENGINES
from seatrial.store.descriptions import keep_cached, read_cached
from seatrial.store.files import cache_folder, hash_file, manifest_path
from seatrial.store.records import GraphManifest
from seatrial.store.stage_cache import CachedStage
from seatrial.strict import check_name
from seatrial.workflow.export import PARITY_IMAGES, draw_inputs, find_graph, load_inputs
from seatrial.workflow.int8_speed import check_int8_speed

COMPILE = CachedStage("compile", "compile/2", "compiled")


def parse_engine(text: str, probed: dict[str, Capabilities] | None = None, options: bool = False) -> BuildSpec:
    """Read `NAME[:PRECISION][@DEVICE]`, as in `torch:fp16@cuda:1`; what is left out is the first that the engine has.

    Args:
        probed: what engines can do here, by name; one that is not in it is probed and added.
        options: the parts were requested with --precision and --device, as errors then say.

    Raises:
        UsageError: there is no such engine.
        EngineError: it is not installed, or has no such device or precision.
    """
    name, precision, device = split_engine(text)
    probed = {} if probed is None else probed
    has = probed[name] if name in probed else probed.setdefault(name, get_engine(name).probe())
    check_usable(has)
    chosen = BuildSpec(
        name, precision or has.precisions[0], device or has.devices[0], capabilities=has, label=label_engine(text)
    )
    check_engine(chosen, options)
    return chosen


def split_engine(text: str) -> tuple[str, str, str]:
    """The parts of `NAME[:PRECISION][@DEVICE]`, empty where one is left out.

    Raises:
        UsageError: a colon or an @ has nothing behind it.
    """
    wanted, at, device = text.strip().partition("@")
    name, colon, precision = wanted.partition(":")
    if (colon and not precision) or (at and not device):
        missing = "device after the @" if at and not device else "precision after the colon"
        raise UsageError(f"engine '{text.strip()}' names no {missing}", "write it like openvino:bf16 or torch@cuda:0")
    return name, precision, device


def label_engine(text: str) -> str:
    """The name that `NAME[:PRECISION][@DEVICE]` has in a run: `torch-fp16-cuda1` of `torch:fp16@cuda:1`."""
    wanted, _, device = text.strip().partition("@")
    return "-".join(part for part in (*wanted.split(":"), device.replace(":", "")) if part)


def choose_engine(graph: Path | GraphFile, engine: str, precision: str | None, device: str | None) -> BuildSpec:
    """What to compile a graph for: by default in the graph's precision on the engine's first device.

    Raises:
        UsageError: there is no such engine or graph.
        EngineError: it is not installed, or has no such device or precision.
    """
    graph = read_graph(graph)
    own = graph.manifest.precision
    has = get_engine(engine).probe()
    if precision is None and own != "fp32" and has.version is not None and own not in has.precisions:
        raise EngineError(
            f"{graph.path} computes in {own}, which {engine} cannot run here", "compile the fp32 graph it came from"
        )
    wanted = precision or (own if own != "fp32" else None)
    text = engine + (f":{wanted}" if wanted else "") + (f"@{device}" if device else "")
    return parse_engine(text, {engine: has}, options=True)


def check_engine(spec: BuildSpec, options: bool = True) -> None:
    """Refuse an engine that is not installed, or a device or precision that it has not here, before any work is done.

    Args:
        options: as for `parse_engine`.

    Raises:
        UsageError: no engine has such a precision.
        EngineError: lists what there is.
    """
    check_name(spec.precision, PRECISIONS, f"there is no precision '{spec.precision}' ({', '.join(PRECISIONS)})")
    has = spec.capabilities or get_engine(spec.engine).probe()
    check_device(spec.device, has, "--device " if options else f"{spec.engine}@")
    check_precision(spec.precision, has, "--precision " if options else f"{spec.engine}:")


def check_foreign(spec: BuildSpec, file: Path | str) -> None:
    """Refuse an engine that an ONNX file from elsewhere cannot be taken to, as it has no network to rebuild.

    Raises:
        UsageError: names the engines that take it.
    """
    if spec.capabilities is not None and spec.capabilities.needs_network:
        others = ", ".join(name for name in list_engines() if name != spec.engine)
        raise UsageError(
            f"{file} was exported elsewhere, so there is no network of its own that {spec.engine} could run",
            f"the graph itself can be run by {others}",
        )


def probe_engines() -> tuple[Capabilities, ...]:
    """What every engine can do on this machine; of one that cannot be loaded, why.

    It is kept for who completes a command line; of an engine that cannot be used now, what was found before.
    """
    found = tuple(map(_probe_engine, list_engines()))
    place = cache_folder() / KNOWN_ENGINES
    before = read_cached(place)
    usable = {has.engine: [has.precisions, has.devices] for has in found if has.precisions and has.missing is None}
    known = {**(before if isinstance(before, dict) else {}), **usable}
    if usable:
        keep_cached(place, json.dumps(known))
    return found


def _probe_engine(name: str) -> Capabilities:
    try:
        return get_engine(name).probe()
    except SeatrialError as error:
        return Capabilities(name, None, missing=error.problem, install_hint=error.fix or "")
    except Exception as error:
        if name in ENGINES:
            raise
        problem = f"its package does not say what it can do ({type(error).__name__}: {first_line(error)})"
        return Capabilities(name, None, missing=problem, install_hint="tell its author: `probe` must not raise")


def compile_graph(
    graph: Path | GraphFile,
    spec: BuildSpec,
    output: Path,
    progress: Progress = silent,
    proof: Sequence[Path] = (),
    speed_check: bool = False,
) -> EngineFile:
    """Compile into the folder `output`, or find it done.

    Where the engine wants its precision in the graph, a graph is derived beside it and compared with it on `proof`.

    Args:
        speed_check: time an int8 engine that was built beside a float one, and note where it is slower.

    Raises:
        UsageError: no such graph, one in another precision, or an option that the engine does not have.
        EngineError: the engine is missing, or its result is not what was requested.
        ParityError: the derived graph's predictions differ.
    """
    spec = spec.probed()
    graph = choose_graph(graph, spec, progress, proof)
    key = compile_key(graph.manifest, spec)
    found = find_built(COMPILE, key, output, graph.manifest, spec.capabilities, progress)
    if found is not None:
        return found
    progress(Update("compile", doing=f"{output.name}, in a process of its own"))
    built = build_engine(graph, spec, output, key)
    executed = ", ".join(f"{count} layers in {name}" for name, count in sorted(built.manifest.executed.items()))
    version = f"{spec.engine} {built.manifest.sdk_version}"
    progress(Update("compile", note=f"{output.name}: {version}{', ' + executed if executed else ''}"))
    for note in built.manifest.notes:
        progress(Update("compile", note=f"{output.name}: {note}"))
    if speed_check:
        check_int8_speed(graph, spec, built, progress)
    return built


def choose_graph(
    graph: Path | GraphFile, spec: BuildSpec, progress: Progress = silent, proof: Sequence[Path] = ()
) -> GraphFile:
    """The graph that the engine wants for this precision: `graph`, or one derived from it beside it.

    Raises:
        SeatrialError: as `check_engine`, `check_foreign` and `prepare_graph`.
    """
    has = spec.capabilities or get_engine(spec.engine).probe()
    check_engine(replace(spec, capabilities=has))
    graph = read_graph(graph)
    if not graph.manifest.checkpoint_sha256:
        check_foreign(replace(spec, capabilities=has), graph.path)
    return prepare_graph(graph, spec.precision, has, proof, progress)


def compile_key(graph: GraphManifest, spec: BuildSpec) -> str:
    """The content address of an engine folder: what goes into it, and what makes it."""
    has = spec.capabilities or get_engine(spec.engine).probe()
    return COMPILE.key(
        {
            "graph": graph.sha256,
            "recipe": Recipe.read(graph.recipe, "the graph's manifest").identity,
            "engine": [spec.engine, has.version, spec.precision, spec.device, list(spec.batch_sizes), spec.options],
            "hardware": dict(zip(has.devices, has.hardware, strict=False)).get(spec.device),
            # A file that an option names counts by its content, but for caches, which building itself changes.
            "files": {
                value: hash_file(Path(value))
                for name, value in spec.options.items()
                if Path(value).is_file() and not name.endswith("_cache")
            },
            "machine": machine_hash(read_environment()),
        }
    )


def prepare_graph(
    graph: GraphFile, precision: str, engine: Capabilities, proof: Sequence[Path], progress: Progress
) -> GraphFile:
    """The graph to give to an engine: `graph` itself, or one derived from it beside it, compared on `proof`.

    Raises:
        UsageError: the graph computes in another precision than the requested one, or int8 has to be made from images.
        EngineError: the derived graph is not what was requested.
        ParityError: its predictions differ.
    """
    if graph.manifest.left_out and engine.one_output:
        graph = derive_graph(graph, "one-output", proof, progress)
    has, path = graph.manifest.precision, graph.path
    if has != precision and has != "fp32":
        fix = f"give --precision {has}, or compile the fp32 graph that it was made from"
        raise UsageError(f"{path} computes in {has}, and --precision is {precision}", fix)
    if has == "int8" and engine.signed_int8:
        return derive_graph(graph, "signed", proof, progress)
    if has == precision or precision not in engine.in_graph:
        return graph
    if precision == "fp16":
        return derive_graph(graph, "fp16", proof, progress)
    output = path.with_name(f"{path.stem}-{precision}.onnx")
    raise UsageError(
        f"{engine.engine} takes {precision} from the graph, and {path} computes in {has}",
        f"make it with `seatrial quantize {path} --calibration IMAGES --output {output}` and compile that",
    )


def derive_graph(graph: GraphFile, kind: str, proof: Sequence[Path], progress: Progress) -> GraphFile:
    """The graph of that kind (fp16, signed, one-output) beside `graph`: found, or derived and compared on `proof`.

    Raises:
        UsageError: another file is in its place.
        EngineError: the derived graph is not what was requested.
        ParityError: its predictions differ.
    """

    def make(output: Path, key: str) -> GraphManifest:
        from seatrial.export.derived_graph import DerivedGraphJob
        from seatrial.export.fp16 import make_fp16
        from seatrial.export.one_output import make_one_output
        from seatrial.export.signed_activations import make_signed_graph

        make_it = {"fp16": make_fp16, "signed": make_signed_graph, "one-output": make_one_output}[kind]
        return make_it(DerivedGraphJob(graph.path, graph.manifest, output, key, load_inputs(graph.manifest, proof)))

    return _find_or_derive(graph, kind, {}, make, progress)


def insert_aipp(graph: GraphFile, config: Aipp, progress: Progress, proof: Sequence[Path] = ()) -> GraphFile:
    """The graph behind an AIPP configuration beside `graph`: found, or derived and compared on `proof`.

    Raises:
        UsageError: another file is in its place, or the configuration does not fit the graph.
        ParityError: its predictions differ.
    """
    pipeline = read_pipeline(describe_behind_aipp(graph.manifest, config))

    def make(output: Path, key: str) -> GraphManifest:
        from seatrial.export.derived_graph import DerivedGraphJob
        from seatrial.export.insert_aipp import make_aipp_graph

        pixels = load_batch(proof, pipeline) if proof else draw_inputs(PARITY_IMAGES, pipeline)
        return make_aipp_graph(DerivedGraphJob(graph.path, graph.manifest, output, key, pixels), config)

    return _find_or_derive(graph, "aipp", {"aipp": config.model_dump(mode="json")}, make, progress)


def _find_or_derive(
    graph: GraphFile,
    kind: str,
    more: Mapping[str, Any],
    make: Callable[[Path, str], GraphManifest],
    progress: Progress,
) -> GraphFile:
    """The graph of that kind beside `graph`.

    Args:
        more: what decides which graph it is, beside `graph` and the libraries.
        make: derives it, at a path and under a key.
    """
    manifest, source = graph.manifest, graph.path
    output = source.with_name(f"{source.stem}-{kind}.onnx")
    versions = read_environment(("onnx", "onnxruntime", "onnxruntime-gpu")).versions
    recipe = Recipe.read(manifest.recipe, "the graph's manifest").identity
    stage = CachedStage("compile", f"{kind}/2", "made")
    key = stage.key({"graph": manifest.sha256, "recipe": recipe, "versions": versions, **more})
    found = find_graph(stage, key, output, progress)
    if found is not None:
        return found
    if output.exists() and not manifest_path(output).exists():
        raise UsageError(f"{output} is in the way of the {kind} graph derived from {source.name}", "move it away")
    derived = make(output, key)
    error = derived.parity[-1].relative_error
    progress(Update("compile", note=f"{output.name}: differs from {source.name} by {error:.1e}"))
    return GraphFile(output, derived)
