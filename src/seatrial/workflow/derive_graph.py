"""What an engine wants of a graph before it compiles it: precisions that must already be in it."""

from collections.abc import Sequence
from pathlib import Path

from seatrial.engines.base import Capabilities, GraphFile
from seatrial.errors import UsageError
from seatrial.machine.environment import read_environment
from seatrial.progress import Progress, Update
from seatrial.recipes import Recipe
from seatrial.store.files import manifest_path
from seatrial.store.stage_cache import CachedStage
from seatrial.workflow.export import find_graph, load_inputs


def prepare_graph(
    graph: GraphFile, precision: str, engine: Capabilities, proof: Sequence[Path], progress: Progress
) -> GraphFile:
    """The graph to give to an engine: `graph` itself, or one derived from it beside it, compared on `proof`.

    Raises:
        UsageError: the graph computes in another precision than the requested one, or int8 has to be made from images.
        EngineError: the derived graph is not what was requested.
        ParityError: its predictions differ.
    """
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
    """The graph of that kind (fp16, signed) beside `graph`: found there, or derived and compared on `proof`.

    Raises:
        UsageError: another file is in its place.
        EngineError: the derived graph is not what was requested.
        ParityError: its predictions differ.
    """
    manifest, source = graph.manifest, graph.path
    output = source.with_name(f"{source.stem}-{kind}.onnx")
    versions = read_environment(("onnx", "onnxruntime", "onnxruntime-gpu")).versions
    recipe = Recipe.read(manifest.recipe, "the graph's manifest").identity
    stage = CachedStage("compile", f"{kind}/2", "made")
    key = stage.key({"graph": manifest.sha256, "recipe": recipe, "versions": versions})
    found = find_graph(stage, key, output, progress)
    if found is not None:
        return found
    if output.exists() and not manifest_path(output).exists():
        raise UsageError(f"{output} is in the way of the {kind} graph derived from {source.name}", "move it away")
    images = load_inputs(manifest, proof)
    from seatrial.export.derived_graph import DerivedGraphJob
    from seatrial.export.fp16 import make_fp16
    from seatrial.export.signed_activations import make_signed_graph

    job = DerivedGraphJob(source, manifest, output, key, images)
    derived = (make_fp16 if kind == "fp16" else make_signed_graph)(job)
    error = derived.parity[-1].relative_error
    progress(Update("compile", note=f"{output.name}: differs from {source.name} by {error:.1e}"))
    return GraphFile(output, derived)
