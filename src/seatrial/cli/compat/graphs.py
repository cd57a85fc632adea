"""ONNX files that a command of theirs compiles: their input, their network, another batch size."""

from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.cli.compat.call import Call
from seatrial.cli.compat.recipes import find_recipe
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.store.records import TensorSpec

Words = tuple[str, ...]


def read_input(graph: Path) -> "TensorSpec":
    """A graph's input, by its manifest where it has one.

    Raises:
        UsageError: there is no such file.
        RefusedFile: it is no ONNX file of an image classifier.
    """
    from seatrial.models.onnx_file import load_graph, read_facts
    from seatrial.store.files import manifest_path
    from seatrial.store.records import GraphManifest

    if graph.is_file() and _has_manifest(graph):
        return GraphManifest.load(manifest_path(graph)).input
    return read_facts(load_graph(graph)).input


def name_recipe(call: Call, graph: Path) -> tuple[Words, Words]:
    """The option of `compile` that names a graph's recipe, and a note on it; none where its manifest has it.

    Raises:
        UsageError: it has no manifest, and nothing says which network it is.
    """
    if call.recipe is None and _has_manifest(graph):
        return (), ()
    reference, reason = find_recipe(call)
    return ("--recipe", reference), (f"recipe {reference}, by {reason}",)


def pin_batch(graph: Path, spec: "TensorSpec", sizes: tuple[int, ...]) -> tuple[Path, tuple[Words, ...]]:
    """A graph for these batch sizes, and the command that makes it, if this one is fixed to another.

    Raises:
        UsageError: it is fixed, and several are wanted.
    """
    fixed = spec.shape[0]
    if fixed is None or sizes == (fixed,):
        return graph, ()
    if len(sizes) > 1:
        raise UsageError(f"{graph} is fixed to batch {fixed}, not to several", "export it with a free batch")
    pinned = graph.with_name(f"{graph.stem}-bs{sizes[0]}{graph.suffix}")
    shape = ",".join(str(size) for size in (sizes[0], *spec.shape[1:]))
    return pinned, (("simplify", str(graph), str(pinned), "--input-shape", shape),)


def _has_manifest(graph: Path) -> bool:
    from seatrial.store.files import manifest_path
    from seatrial.store.records import GraphManifest

    return GraphManifest.stands_at(manifest_path(graph))
