"""Imports a graph that was exported elsewhere: with a card beside it, the ONNX engines can take it."""

import contextlib
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.engines.base import GraphFile
from seatrial.engines.engine_folder import read_graph
from seatrial.errors import RefusedFile, SeatrialError, UsageError
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.recipes.schema import is_same_card
from seatrial.recipes.steps import join_size
from seatrial.store.files import hash_graph, make_folder, manifest_path, remove_file, replacing
from seatrial.store.records import FOREIGN, GraphManifest, TensorSpec
from seatrial.workflow.try_graph import GraphTrial, try_graph

if TYPE_CHECKING:
    import onnx

    from seatrial.models.onnx_file import GraphFacts


def import_graph(graph: Path, recipe: Recipe) -> GraphManifest:
    """Write a manifest beside an ONNX file from its own facts and the card, in place of one that was written so before.

    It has no checkpoint, so torch cannot rebuild it, and its export was not compared with torch.

    Raises:
        UsageError: there is no such file, our own export wrote it of another card, or it is not the card's network.
        RefusedFile: it is no ONNX file of an image classifier, or one in training mode.
    """
    own = _find_own(graph, recipe)
    if own is not None:
        return own
    manifest = describe_graph(graph, recipe)
    manifest.save(manifest_path(graph))
    return manifest


def describe_graph(graph: Path, recipe: Recipe) -> GraphManifest:
    """The manifest of a graph from elsewhere: its own facts, and the card for what they do not say.

    Raises:
        UsageError: there is no such file, or it is not the card's network.
        RefusedFile: it is no ONNX file of an image classifier, or one in training mode.
    """
    from seatrial.models.onnx_file import check_classifier, check_inference, load_graph, read_facts
    from seatrial.models.onnx_shapes import find_large_kernel

    model = load_graph(graph)
    check_inference(model, str(graph))
    facts = read_facts(model, recipe.graph.output)
    check_classifier(facts)
    _check_ends(graph, recipe, facts.input, facts.output)
    # Free axes take the card's size.
    size = recipe.input_size
    shape = (recipe.channels, *size) if facts.input.layout == "NCHW" else (*size, recipe.channels)
    image = facts.input.model_copy(update={"shape": (facts.input.shape[0], *shape)})
    too_large = find_large_kernel(model, (1, *image.shape[1:]))
    if too_large is not None:
        raise UsageError(
            f"{graph} does not run on images of {join_size(size)}: {too_large}",
            "give larger ones: another card, or --image-size where a library prepares them",
        )
    return _write_manifest(graph, recipe, model, replace(facts, input=image))


def _write_manifest(graph: Path, recipe: Recipe, model: "onnx.ModelProto", facts: "GraphFacts") -> GraphManifest:
    from seatrial.export.count_work import count_work
    from seatrial.export.graph import has_dynamic_scales, read_precision
    from seatrial.models.onnx_file import find_data, read_nodes

    data = find_data(read_nodes(graph), graph)  # A loaded model no longer says where its weights were.
    sha256 = hash_graph(graph, data)
    try_graph(GraphTrial(graph=graph, input=facts.input, output=facts.output), sha256, data)
    return GraphManifest(
        key=FOREIGN,
        recipe=recipe.model_dump(mode="json", exclude_none=True),
        checkpoint=f"{graph.stem}.safetensors",
        checkpoint_sha256="",
        sha256=sha256,
        data=data,
        opset=facts.opset,
        exporter=FOREIGN,
        simplified=False,
        precision=read_precision(model),
        dynamic_scales=has_dynamic_scales(model),
        fused=facts.input.dtype == "uint8",
        **count_work(model, facts.input).fields,
        input=facts.input,
        output=facts.output,
        left_out=tuple(value.name for value in model.graph.output if value.name != facts.output.name),
        preprocess_hash=make_pipeline(recipe).hash,
        parity=(),
        versions={"onnx": version("onnx")},
    )


def copy_graph(source: Path, described: GraphManifest, output: Path, progress: Progress = silent) -> GraphFile:
    """Copy an ONNX file that `describe_graph` described to `output`, its external data beside it, or find it done.

    Raises:
        UsageError: another file is where its external data should go.
        RefusedFile: it has changed since it was described.
    """
    before = None
    found = find_copy(described, output)
    if found is not None:
        progress(Update("graph", note=f"already copied: {output.name}"))
        return found
    with contextlib.suppress(SeatrialError):
        before = GraphManifest.load(manifest_path(output))
    kept = before.data if before is not None else ()
    taken = next((n for n in described.data if n not in kept and (output.parent / n).exists()), None)
    if taken is not None or output.name in described.data:
        problem = f"{source} keeps weights in {taken or output.name}, a name that is taken in {output.parent}"
        raise UsageError(problem, "export it with its weights in a file of another name, or choose another --output")
    with replacing(output, companions=described.data) as temporary:
        shutil.copyfile(source, temporary)
        for name in described.data:
            make_folder((temporary.parent / name).parent)
            shutil.copyfile(source.parent / name, temporary.parent / name)
        if hash_graph(temporary, described.data) != described.sha256:
            raise RefusedFile(f"{source} has changed while it was copied", "run it again")
        described.save(manifest_path(temporary))
    for name in kept:
        if name not in described.data:
            remove_file(output.parent / name)
    size = "" if not described.data else f", its weights in {', '.join(described.data)}"
    progress(Update("graph", note=f"copied from {source.name}: opset {described.opset}{size}"))
    return GraphFile(output, described)


def find_copy(described: GraphManifest, output: Path) -> GraphFile | None:
    """The copy of an ONNX file at `output`, if it is one and unchanged."""
    with contextlib.suppress(SeatrialError):
        if GraphManifest.load(manifest_path(output)) == described:
            return read_graph(output)
    return None


def _find_own(graph: Path, recipe: Recipe) -> GraphManifest | None:
    """The manifest that our own export wrote of this file and card; None where there is none, or an import's.

    Raises:
        UsageError: it is of another card, it describes another file, or another tool's file is in its place.
    """
    beside = manifest_path(graph)
    if not beside.exists():
        return None
    if not GraphManifest.stands_at(beside):
        raise UsageError(f"{beside} is in the way of the manifest of {graph.name}", "move it away")
    manifest = GraphManifest.load(beside)
    if manifest.exporter == FOREIGN:
        return None
    if graph.is_file() and hash_graph(graph) != manifest.sha256:
        raise UsageError(
            f"{graph} is not the file that {beside.name} describes, which `seatrial export` wrote",
            f"delete {beside.name} if another tool wrote {graph.name}, else export it again",
        )
    if not is_same_card(manifest.recipe, recipe.model_dump(mode="json", exclude_none=True)):
        raise UsageError(
            f"{graph} was exported of another recipe, which {beside.name} names",
            "leave --recipe out, or export it again with that recipe",
        )
    return manifest


def _check_ends(graph: Path, recipe: Recipe, image: TensorSpec, logits: TensorSpec) -> None:
    height, width = recipe.input_size
    channels = recipe.channels
    wanted = {"NCHW": (channels, height, width), "NHWC": (height, width, channels)}.get(image.layout, ())
    given = image.shape[1:]
    if len(given) != len(wanted) or any(have not in (None, want) for have, want in zip(given, wanted, strict=True)):
        shape = "×".join("N" if size is None else str(size) for size in image.shape)
        raise UsageError(
            f"{graph} takes {shape}, and {recipe.name} gives {channels}×{height}×{width}",
            "take a card whose preprocess steps give what it takes",
        )
    if logits.shape[-1] not in (None, recipe.network.classes):
        raise UsageError(
            f"{graph} has {logits.shape[-1]} classes, {recipe.name} {recipe.network.classes}",
            f"take a card with network.classes = {logits.shape[-1]}",
        )
