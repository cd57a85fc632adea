"""What an engine wants of a graph before it compiles it: precisions that must already be in it."""

from collections.abc import Sequence
from pathlib import Path

from seatrial.engines.base import Capabilities
from seatrial.engines.engine_folder import read_graph_manifest
from seatrial.errors import UsageError
from seatrial.machine.environment import read_environment
from seatrial.progress import Progress, Update
from seatrial.recipes import Recipe
from seatrial.store.files import hash_value, manifest_path
from seatrial.workflow.export import find_graph, load_inputs


def prepare_graph(graph: Path, precision: str, engine: Capabilities, proof: Sequence[Path], progress: Progress) -> Path:
    """The graph to give to an engine: `graph` itself, or one derived from it beside it, compared on `proof`.

    Raises:
        UsageError: the graph computes in another precision than was asked, or int8 has to be made from images.
        EngineError: the derived graph is not what was asked.
        ParityError: its predictions differ.
    """
    has = read_graph_manifest(graph).precision
    if has != precision and has != "fp32":
        fix = f"give --precision {has}, or compile the fp32 graph that it was made from"
        raise UsageError(f"{graph} computes in {has}, and {precision} was asked", fix)
    if has == "int8" and engine.signed_int8:
        return derive_graph(graph, "signed", proof, progress)
    if has == precision or precision not in engine.in_graph:
        return graph
    if precision == "fp16":
        return derive_graph(graph, "fp16", proof, progress)
    made = graph.with_name(f"{graph.stem}-{precision}.onnx")
    raise UsageError(
        f"{engine.engine} takes {precision} from the graph, and {graph} computes in {has}",
        f"make it with `seatrial quantize {graph} --calibration IMAGES --output {made}` and compile that",
    )


def derive_graph(graph: Path, kind: str, proof: Sequence[Path], progress: Progress) -> Path:
    manifest = read_graph_manifest(graph)
    output = graph.with_name(f"{graph.stem}-{kind}.onnx")
    versions = read_environment(("onnx", "onnxruntime", "onnxruntime-gpu")).versions
    recipe = Recipe.read(manifest.recipe, "the graph's manifest").identity
    key = hash_value({"stage": f"{kind}/2", "graph": manifest.sha256, "recipe": recipe, "versions": versions})
    if find_graph(output, key) is not None:
        progress(Update("compile", note=f"already made: {output.name}"))
        return output
    if output.exists() and not manifest_path(output).exists():
        raise UsageError(f"{output} is in the way of the {kind} graph derived from {graph.name}", "move it away")
    images = load_inputs(manifest, proof)
    from seatrial.export.derived_graph import DerivedGraphJob
    from seatrial.export.fp16 import make_fp16
    from seatrial.export.signed_activations import make_signed_graph

    job = DerivedGraphJob(graph, manifest, output, key, images)
    moved = (make_fp16 if kind == "fp16" else make_signed_graph)(job).parity[-1]
    progress(Update("compile", note=f"{output.name}: differs from {graph.name} by {moved.relative_error:.1e}"))
    return output
