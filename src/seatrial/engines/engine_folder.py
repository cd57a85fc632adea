"""Compile a graph into an engine folder: whole, described by its engine.json, or not there at all."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from seatrial.engines import get_engine
from seatrial.engines.base import (
    MANIFEST,
    Capabilities,
    CompileJob,
    EngineFile,
    GraphFile,
    read_engine,
    trust_built,
)
from seatrial.engines.compile_process import compile_apart
from seatrial.errors import RefusedFile, UsageError
from seatrial.progress import Progress
from seatrial.recipes.schema import is_same_card
from seatrial.store.files import hash_graph, manifest_path, replacing
from seatrial.store.records import FOREIGN, EngineManifest, GraphManifest
from seatrial.store.stage_cache import CachedStage
from seatrial.store.tuning import Tuning

Compile = Callable[[str, CompileJob], EngineManifest]
"""What compiles a job for the engine of that name, and describes what came of it."""


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """What to compile for: an engine, a precision and a device, and how."""

    engine: str
    precision: str = "fp32"
    device: str = "cpu"
    batch_sizes: tuple[int, ...] = ()
    """Empty for a free batch."""
    options: dict[str, str] = field(default_factory=dict)
    tuning: Tuning | None = None
    """How its batch size and threads were found."""
    capabilities: Capabilities | None = field(default=None, compare=False)
    """Of the engine; None where it was not probed yet."""
    label: str = ""
    """Names its folder and its records in a run."""

    def probed(self) -> "BuildSpec":
        """The same with what the engine can do here, which is looked up if it was not.

        Raises:
            UsageError: there is no such engine.
        """
        return self if self.capabilities else replace(self, capabilities=get_engine(self.engine).probe())


def probe_engine(file: EngineFile) -> EngineFile:
    """The same with what its engine can do here, for processes that open it too."""
    return replace(file, capabilities=file.capabilities or get_engine(file.manifest.engine).probe())


def read_graph(graph: Path | GraphFile) -> GraphFile:
    """An ONNX file and the manifest beside it; one that was read already stays as it is.

    Raises:
        UsageError: there is no such file, or it has no manifest.
        RefusedFile: the file is not the one that the manifest describes.
    """
    if isinstance(graph, GraphFile):
        return graph
    if not graph.is_file():
        raise UsageError(f"there is no graph {graph}", "`seatrial export` makes one")
    beside = manifest_path(graph)
    if not beside.is_file():
        raise UsageError(
            f"{graph} has no manifest {beside.name}",
            "export it with `seatrial export`, or name its recipe with `compile --recipe`",
        )
    manifest = GraphManifest.load(beside)
    missing = next((name for name in manifest.data if not (graph.parent / name).is_file()), None)
    again = "name its recipe again with `compile --recipe`" if manifest.exporter == FOREIGN else "export it again"
    if missing is not None:
        raise RefusedFile(f"{missing}, which holds weights of {graph}, is missing", f"put it there, or {again}")
    if hash_graph(graph, manifest.data) != manifest.sha256:
        raise RefusedFile(f"{graph} is not the file that {beside.name} describes: checksum mismatch", again)
    return GraphFile(graph, manifest)


def build_engine(
    graph: Path | GraphFile, spec: BuildSpec, output: Path, key: str = "", compile: Compile = compile_apart
) -> EngineFile:
    """Compile `graph` into the folder `output`, replacing an engine folder that is there.

    Args:
        compile: in a process of its own, or in this one.

    Raises:
        UsageError: no such graph or engine, or `output` has other files.
        EngineError: the engine is missing, or its result is not what was requested.
    """
    spec, graph = spec.probed(), read_graph(graph)
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file, not a folder", "choose another --output")
    if output.exists() and any(output.iterdir()) and not (output / MANIFEST).is_file():
        raise UsageError(f"{output} has other files than an engine's", "choose another --output")
    with replacing(output) as folder:
        folder.mkdir()
        job = CompileJob(
            # Where it is a link, its weights are beside the link.
            graph=graph.path.absolute() if graph.manifest.data else graph.path.resolve(),
            manifest=graph.manifest,
            output=folder,
            batch_sizes=choose_sizes(graph.manifest, spec.batch_sizes),
            precision=spec.precision,
            device=spec.device,
            options=spec.options,
            capabilities=spec.capabilities,
        )
        began = time.perf_counter()
        described = compile(spec.engine, job)
        took_s = round(time.perf_counter() - began, 3)
        manifest = described.model_copy(update={"key": key, "tuning": spec.tuning, "compile_s": took_s})
        manifest.save(folder / MANIFEST)
    return trust_built(output, manifest, spec.capabilities)


def choose_sizes(graph: GraphManifest, requested: tuple[int, ...]) -> tuple[int, ...]:
    """The batch sizes to build: those requested, or the one that the graph is fixed to; empty for a free batch.

    Raises:
        UsageError: the graph is fixed to another one.
    """
    fixed = graph.input.shape[0]
    if fixed is None:
        return requested
    if requested and requested != (fixed,):
        sizes = ", ".join(map(str, requested))
        raise UsageError(
            f"the graph is fixed to batch {fixed}, and --batch-size is {sizes}",
            f"give --batch-size {fixed}, or export it with a free batch (`seatrial export --batch-size dynamic`)",
        )
    return (fixed,)


def find_built(
    stage: CachedStage, key: str, output: Path, graph: GraphManifest, has: Capabilities | None, progress: Progress
) -> EngineFile | None:
    """The engine folder at `output` if the stage built it of `graph` under this key and nothing in it has changed.

    Neither counts alone: a key may stay where files were exchanged. One that kept no logits cannot be known again.
    """

    def check(manifest: EngineManifest) -> EngineFile | None:
        own = manifest.graph
        same = (own.sha256, own.checkpoint_sha256) == (graph.sha256, graph.checkpoint_sha256)
        same = same and is_same_card(own.recipe, graph.recipe)
        if not same or any(model.logits is None for model in manifest.files):
            return None
        return read_engine(output, has)

    return stage.find(key, lambda: EngineManifest.load(output / MANIFEST), check, progress, output.name)
