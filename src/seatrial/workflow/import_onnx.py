"""Imports a graph that was exported elsewhere: with a card beside it, the ONNX engines can take it."""

from importlib.metadata import version
from pathlib import Path

from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.errors import RefusedFile, UsageError
from seatrial.recipes import Recipe
from seatrial.store.files import hash_file, manifest_path
from seatrial.store.records import GraphManifest, TensorSpec

FOREIGN = "elsewhere"
"""The exporter in the manifest of an imported graph."""


def import_graph(graph: Path, recipe: Recipe) -> GraphManifest:
    """Write a manifest beside an ONNX file from its own facts and the card.

    It has no checkpoint, so torch cannot rebuild it, and its export was not compared with torch.

    Raises:
        UsageError: there is no such file, it has a manifest already, or it is not the card's network.
        RefusedFile: it is no ONNX file of an image classifier, or one in training mode.
    """
    from seatrial.export.graph import check_inference, has_dynamic_scales, load_graph, read_facts, read_precision

    beside = manifest_path(graph)
    if beside.exists():
        raise UsageError(f"{graph} has a manifest, {beside.name}, which names its recipe", "leave --recipe out")
    model = load_graph(graph)
    check_inference(model, str(graph))
    facts = read_facts(model)
    _check_ends(graph, recipe, facts.input, facts.output)
    manifest = GraphManifest(
        key=FOREIGN,
        recipe=recipe.model_dump(mode="json", exclude_none=True),
        checkpoint=f"{graph.stem}.safetensors",
        checkpoint_sha256="",
        sha256=hash_file(graph),
        opset=facts.opset,
        exporter=FOREIGN,
        simplified=False,
        precision=read_precision(model),
        dynamic_scales=has_dynamic_scales(model),
        fused=facts.input.dtype == "uint8",
        input=facts.input,
        output=facts.output,
        preprocess_hash=make_pipeline(recipe).hash,
        parity=(),
        versions={"onnx": version("onnx")},
    )
    manifest.save(beside)
    return manifest


def _check_ends(graph: Path, recipe: Recipe, image: TensorSpec, logits: TensorSpec) -> None:
    height, width = recipe.input_size
    wanted = {"NCHW": (3, height, width), "NHWC": (height, width, 3)}.get(image.layout)
    if image.layout == "NHWC" and image.dtype != "uint8":
        raise RefusedFile(f"{graph} takes float images channels last, which no card describes", "transpose its input")
    if image.shape[1:] != wanted:
        given = "×".join("N" if size is None else str(size) for size in image.shape)
        raise UsageError(
            f"{graph} takes {given}, and {recipe.name} gives images of {height}×{width}", "give its own --recipe"
        )
    if logits.shape[-1] not in (None, recipe.network.classes):
        raise UsageError(
            f"{graph} has {logits.shape[-1]} classes, {recipe.name} {recipe.network.classes}",
            "give its own --recipe",
        )
