"""Compile a graph into an engine folder: whole, described by its engine.json, or not there at all."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.engines import get_engine
from seatrial.engines.base import MANIFEST, CompileJob, EngineFile, read_engine
from seatrial.engines.compile_process import compile_apart
from seatrial.errors import RefusedFile, SeatrialError, UsageError
from seatrial.recipes.schema import is_same_card
from seatrial.store.files import hash_file, manifest_path, replacing
from seatrial.store.records import EngineManifest, GraphManifest, Tuning

Compile = Callable[[str, CompileJob], EngineManifest]
"""What compiles a job for the engine of that name, and describes what came of it."""


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """What to compile for."""

    engine: str
    precision: str = "fp32"
    device: str = "cpu"
    batch_sizes: tuple[int, ...] = ()
    """Empty asks for a free batch."""
    options: dict[str, str] = field(default_factory=dict)
    tuning: Tuning | None = None
    """How its batch size and threads were found."""


def read_graph_manifest(graph: Path) -> GraphManifest:
    """The manifest beside an ONNX file.

    Raises:
        UsageError: there is no such file, or it has no manifest.
        RefusedFile: the file is not the one that the manifest describes.
    """
    if not graph.is_file():
        raise UsageError(f"there is no graph {graph}", "`seatrial export` makes one")
    beside = manifest_path(graph)
    if not beside.is_file():
        raise UsageError(
            f"{graph} has no manifest {beside.name}",
            "export it with `seatrial export`, or say what it is with `compile --recipe`",
        )
    manifest = GraphManifest.load(beside)
    if hash_file(graph) != manifest.sha256:
        raise RefusedFile(f"{graph} is not the file that {beside.name} describes", "export it again")
    return manifest


def build_engine(
    graph: Path, spec: BuildSpec, output: Path, key: str = "", compile: Compile = compile_apart
) -> EngineFile:
    """Compile `graph` into the folder `output`, replacing an engine folder that stands there.

    Args:
        compile: in a process of its own, or in this one.

    Raises:
        UsageError: no such graph or engine, or `output` holds something else.
        EngineError: the engine is missing, or gave something else than was asked.
    """
    get_engine(spec.engine)
    manifest = read_graph_manifest(graph)
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file, not a folder", "choose another --output")
    if output.exists() and any(output.iterdir()) and not (output / MANIFEST).is_file():
        raise UsageError(f"{output} holds other files", "choose another --output")
    with replacing(output) as folder:
        folder.mkdir()
        sizes = choose_sizes(manifest, spec.batch_sizes)
        job = CompileJob(graph.resolve(), manifest, folder, sizes, spec.precision, spec.device, spec.options)
        began = time.perf_counter()
        described = compile(spec.engine, job)
        took_s = round(time.perf_counter() - began, 3)
        own = {"key": key, "tuning": spec.tuning, "compile_s": took_s}
        described.model_copy(update=own).save(folder / MANIFEST)
    return EngineFile(output, EngineManifest.load(output / MANIFEST))


def choose_sizes(graph: GraphManifest, asked: tuple[int, ...]) -> tuple[int, ...]:
    """The batch sizes to build: those asked, or the one that the graph is fixed to; empty for a free batch.

    Raises:
        UsageError: the graph is fixed to another one.
    """
    fixed = graph.input.shape[0]
    if fixed is None:
        return asked
    if asked and asked != (fixed,):
        sizes = ", ".join(map(str, asked))
        raise UsageError(
            f"the graph is fixed to batch {fixed} and batch {sizes} was asked", "export with --batch-size dynamic"
        )
    return (fixed,)


def find_built(output: Path, key: str, graph: GraphManifest) -> EngineFile | None:
    """The engine folder at `output` if it was built of `graph` under this key and nothing in it has changed.

    Neither counts alone: a key may stay where files were exchanged. One that kept no logits cannot be known again.
    """
    with contextlib.suppress(SeatrialError):
        found = read_engine(output)
        own = found.manifest.graph
        same = (own.sha256, own.checkpoint_sha256) == (graph.sha256, graph.checkpoint_sha256)
        same = same and is_same_card(own.recipe, graph.recipe)
        known = all(model.logits is not None for model in found.manifest.files)
        return found if found.manifest.key == key and same and known else None
    return None
