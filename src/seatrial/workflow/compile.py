"""`seatrial compile`: a graph to an engine folder; and how engines are named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from seatrial.engines import ENGINES, get_engine
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
from seatrial.errors import EngineError, UsageError
from seatrial.machine.environment import machine_hash, read_environment
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.store.files import hash_file
from seatrial.store.records import GraphManifest
from seatrial.store.stage_cache import CachedStage
from seatrial.strict import suggest
from seatrial.workflow.derive_graph import prepare_graph

COMPILE = CachedStage("compile", "compile/2", "compiled")


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine, a precision and a device, written `NAME[:PRECISION][@DEVICE]`."""

    engine: str
    precision: str
    label: str
    """Names its folder and its records."""
    device: str = "cpu"
    capabilities: Capabilities | None = field(default=None, compare=False)
    """Of the engine; None where it was not probed yet."""

    def probed(self) -> "EngineChoice":
        """The same with what the engine can do here, which is looked up if it was not."""
        return self if self.capabilities else replace(self, capabilities=get_engine(self.engine).probe())

    def spec(self, batch_sizes: tuple[int, ...] = (), options: Mapping[str, str] | None = None) -> BuildSpec:
        """What to compile for this engine."""
        return BuildSpec(
            self.engine, self.precision, self.device, batch_sizes, dict(options or {}), capabilities=self.capabilities
        )


def parse_engine(text: str, probed: dict[str, Capabilities] | None = None) -> EngineChoice:
    """Read `openvino:bf16` or `torch:fp16@cuda:1`; what is left out is the first that the engine has here.

    Args:
        probed: what engines can do here, by name; one that is not in it is probed and added.

    Raises:
        UsageError: there is no such engine.
        EngineError: it is not installed, or has no such device or precision.
    """
    wanted, at, device = text.strip().partition("@")
    name, colon, precision = wanted.partition(":")
    if name not in ENGINES:
        raise UsageError(f"there is no engine '{name}'", suggest(name, list(ENGINES)))
    if (colon and not precision) or (at and not device):
        missing = "device after the @" if at and not device else "precision after the colon"
        raise UsageError(f"engine '{text.strip()}' names no {missing}", "write it like openvino:bf16 or torch@cuda:0")
    probed = {} if probed is None else probed
    has = probed[name] if name in probed else probed.setdefault(name, get_engine(name).probe())
    check_usable(has)
    label = "-".join(part for part in (name, precision, device.replace(":", "")) if part)
    chosen = EngineChoice(name, precision or has.precisions[0], label, device or has.devices[0], has)
    check_engine(chosen)
    return chosen


def choose_engine(graph: Path | GraphFile, engine: str, precision: str | None, device: str | None) -> EngineChoice:
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
    return parse_engine(engine + (f":{wanted}" if wanted else "") + (f"@{device}" if device else ""), {engine: has})


def check_engine(choice: EngineChoice) -> None:
    """Refuse an engine that is not installed, or a device or precision that it has not here, before any work is done.

    Raises:
        UsageError: no engine has such a precision.
        EngineError: lists what there is.
    """
    if choice.precision not in PRECISIONS:
        raise UsageError(f"there is no precision '{choice.precision}'", suggest(choice.precision, list(PRECISIONS)))
    has = choice.capabilities or get_engine(choice.engine).probe()
    check_device(choice.device, has)
    check_precision(choice.precision, has)


def probe_engines() -> tuple[Capabilities, ...]:
    """What every engine of the table can do on this machine."""
    return tuple(get_engine(name).probe() for name in ENGINES)


def compile_graph(
    graph: Path | GraphFile, spec: BuildSpec, output: Path, progress: Progress = silent, proof: Sequence[Path] = ()
) -> EngineFile:
    """Compile into the folder `output`, or find it done.

    Where the engine wants its precision in the graph, a graph is derived beside it and compared with it on `proof`.

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
    built = build_engine(graph, spec, output, key)
    executed = ", ".join(f"{count} layers in {name}" for name, count in sorted(built.manifest.executed.items()))
    version = f"{spec.engine} {built.manifest.sdk_version}"
    progress(Update("compile", note=f"{output.name}: {version}{', ' + executed if executed else ''}"))
    for note in built.manifest.notes:
        progress(Update("compile", note=f"{output.name}: {note}"))
    return built


def choose_graph(
    graph: Path | GraphFile, spec: BuildSpec, progress: Progress = silent, proof: Sequence[Path] = ()
) -> GraphFile:
    """The graph that the engine wants for this precision: `graph`, or one derived from it beside it.

    Raises:
        SeatrialError: as `check_engine` and `prepare_graph`.
    """
    has = spec.capabilities or get_engine(spec.engine).probe()
    check_engine(EngineChoice(spec.engine, spec.precision, spec.engine, spec.device, has))
    return prepare_graph(read_graph(graph), spec.precision, has, proof, progress)


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
