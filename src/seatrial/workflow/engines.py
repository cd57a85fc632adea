"""`seatrial compile`: a graph to an engine folder; and how engines are named."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.bench.environment import machine_hash, read_environment
from seatrial.engines import ENGINES, get_engine
from seatrial.engines.base import EngineFile, check_device
from seatrial.engines.build import BuildSpec, build_engine, find_built, read_graph_manifest
from seatrial.errors import EngineError, UsageError
from seatrial.progress import Progress, Update, silent
from seatrial.store.files import hash_value
from seatrial.strict import suggest
from seatrial.workflow.precision import prepare_graph


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine and a precision, written `NAME` or `NAME:PRECISION`."""

    engine: str
    precision: str
    label: str
    """Names its folder and its records."""


def parse_engine(text: str) -> EngineChoice:
    """Read `openvino:bf16`; without a precision it is fp32.

    Raises:
        UsageError: there is no such engine.
    """
    name, _, precision = text.strip().partition(":")
    if name not in ENGINES:
        raise UsageError(f"there is no engine '{name}'", suggest(name, list(ENGINES)))
    if text.strip().endswith(":"):
        raise UsageError(f"engine '{text.strip()}' names no precision after the colon", "write it like openvino:bf16")
    return EngineChoice(name, precision or "fp32", f"{name}-{precision}" if precision else name)


def check_engine(choice: EngineChoice, device: str = "cpu") -> None:
    """Refuse an engine that is not installed, or a precision that it cannot run here, before any work is done.

    Raises:
        EngineError: lists what there is.
    """
    has = get_engine(choice.engine).probe()
    check_device(device, has)
    if choice.precision not in has.precisions:
        raise EngineError(
            f"{choice.engine} on this machine cannot run {choice.precision}", "it can run " + ", ".join(has.precisions)
        )


def compile_graph(
    graph: Path, spec: BuildSpec, output: Path, progress: Progress = silent, proof: Sequence[Path] = ()
) -> EngineFile:
    """Compile into the folder `output`, or find it done.

    Where the engine wants its precision in the graph, a twin is made beside it and held against it on `proof`.

    Raises:
        UsageError: no such graph, one in another precision, or an option that the engine does not have.
        EngineError: the engine is missing, or gave something else than was asked.
        ParityError: the twin's answers are others.
    """
    check_engine(EngineChoice(spec.engine, spec.precision, output.name), spec.device)
    has = get_engine(spec.engine).probe()
    graph = prepare_graph(graph, spec.precision, has, proof, progress)
    manifest, version = read_graph_manifest(graph), has.version
    key = hash_value(
        {
            "stage": "compile/1",
            "graph": manifest.sha256,
            "recipe": manifest.recipe,
            "engine": [spec.engine, version, spec.precision, spec.device, list(spec.batch_sizes), spec.options],
            "machine": machine_hash(read_environment()),
        }
    )
    found = find_built(output, key)
    if found is not None:
        progress(Update("compile", note=f"already compiled: {output.name}"))
        return found
    built = build_engine(graph, spec, output, key)
    executed = ", ".join(f"{count} layers in {name}" for name, count in sorted(built.manifest.executed.items()))
    progress(Update("compile", note=f"{output.name}: {spec.engine} {version}{', ' + executed if executed else ''}"))
    return built
