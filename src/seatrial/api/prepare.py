"""From a checkpoint to an engine: `export`, `quantize` and `compile`."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.api.results import EngineResult, GraphResult
from seatrial.api.values import (
    Names,
    Place,
    Sizes,
    check_numbers,
    find_path,
    list_texts,
    read_batch,
    read_choice,
    read_pairs,
    read_reading,
    read_sizes,
)
from seatrial.errors import DataError, UsageError
from seatrial.extras import naming_extras
from seatrial.progress import Progress, Update, silent

if TYPE_CHECKING:
    from seatrial.data.preprocessing.aipp import Aipp


@naming_extras()
def export(
    recipe: Place,
    *,
    output: Place,
    checkpoint: Place | None = None,
    opset: int | None = None,
    batch_size: str | int = "dynamic",
    exporter: str | None = None,
    simplify: bool = True,
    fuse_preprocess: bool = True,
    aipp: Place | None = None,
    images: Place | None = None,
    image_size: int | None = None,
    classes: int | None = None,
    like: str | None = None,
    fetch: bool = False,
    weights: str | None = None,
    checkpoint_key: str | None = None,
    strip_prefix: str | None = None,
    progress: Progress | None = None,
) -> GraphResult:
    """Export a checkpoint to ONNX, every step compared with torch; `manifest.parity` says how far each moved.

    Args:
        recipe: a model reference (docs/models.md).
        images: a folder to compare on; None: synthetic ones.

    Raises:
        UsageError: an option is wrong, or there is no such recipe.
        DataError: `images` has none.
        RefusedFile: the checkpoint is damaged, unsafe or of another network.
        ParityError: the graph computes something else.
    """
    check_numbers(locals())
    from seatrial.data.labels import list_images, spread
    from seatrial.export.spec import OPSETS, ExportSpec
    from seatrial.models.find_weights import find_weights
    from seatrial.models.sources import resolve_network
    from seatrial.models.sources.huggingface import fetch_description
    from seatrial.workflow.export import PARITY_IMAGES, export_checkpoint

    notify = progress or silent
    if fetch:
        fetch_description(os.fspath(recipe))
    card = resolve_network(os.fspath(recipe), image_size, like, classes)
    proof = spread(list_images(Path(images)), PARITY_IMAGES) if images is not None else []
    if images is not None and not proof:
        raise DataError(f"image folder {images} has no images", "give a folder of JPEG or PNG files")
    spec = ExportSpec(
        opset or card.graph.opset,
        read_batch(batch_size),
        read_choice(exporter or "torchscript", tuple(OPSETS), "exporter"),
        simplify,
        fuse_preprocess,
        fall_back=exporter is None,
        reading=read_reading(weights, checkpoint_key, strip_prefix),
        aipp=_read_aipp(find_path(aipp), fuse_preprocess, notify),
    )
    file = find_weights(card, find_path(checkpoint), fetch, notify)
    return GraphResult(Path(output), export_checkpoint(card, file, Path(output), spec, proof, notify))


def _read_aipp(path: Path | None, fuse: bool, progress: Progress) -> "Aipp | None":
    """The configuration of `aipp`; notes what it does, and which of its settings do nothing.

    Raises:
        UsageError: it is wrong, or nothing is to be fused.
    """
    if path is None:
        return None
    if not fuse:
        raise UsageError("--aipp is written into the graph, and --no-fuse-preprocess forbids that", "drop one of them")
    from seatrial.data.preprocessing.aipp import describe_aipp, list_unused, load_aipp

    config = load_aipp(path)
    progress(Update("aipp", note=describe_aipp(config)))
    for unused in list_unused(config):
        progress(Update("aipp", note=unused))
    return config


@naming_extras()
def quantize(
    graph: Place,
    *,
    calibration: Place,
    output: Place,
    calibration_images: int = 300,
    preset: str = "performance",
    images: Place | None = None,
    labels: Place | None = None,
    max_drop_pp: float | None = None,
    progress: Progress | None = None,
) -> GraphResult:
    """Quantise a graph to int8; `manifest.calibration` says what was quantised, `manifest.parity[-1]` how far it moved.

    Raises:
        UsageError: an option is wrong, or the graph is none that `export` wrote.
        DataError: there are no calibration images, or some are evaluated on, too.
        ParityError: int8 computes something else.
    """
    check_numbers(locals())
    from seatrial.data.labels import read_labels
    from seatrial.engines.engine_folder import read_graph
    from seatrial.recipes import Recipe
    from seatrial.workflow.quantize import QuantizeSpec, quantize_graph

    notify = progress or silent
    source = read_graph(Path(graph))
    if images is None and labels is not None:
        raise UsageError(f"--labels {labels} belongs to --images", "give --images too")
    card = Recipe.read(source.manifest.recipe, "the graph's manifest")
    spec = QuantizeSpec(
        calibration=Path(calibration),
        count=calibration_images,
        preset=read_choice(preset, ("performance", "mixed"), "preset"),
        images=() if images is None else read_labels(Path(images), find_path(labels), card, notify),
        max_drop_pp=max_drop_pp,
    )
    return GraphResult(Path(output), quantize_graph(source, spec, Path(output), notify))


@naming_extras()
def compile(
    graph: Place,
    *,
    engine: str,
    output: Place,
    precision: str | None = None,
    batch_size: Sizes = "dynamic",
    device: str | None = None,
    option: Mapping[str, object] | Names | None = None,
    recipe: Place | None = None,
    aipp: Place | None = None,
    tune: bool = False,
    speed_check: bool = True,
    progress: Progress | None = None,
) -> EngineResult:
    """Compile a graph for an engine; `manifest.executed` says what was read back from the build.

    Args:
        option: options of the engine, as a mapping or as texts NAME=VALUE.
        speed_check: note where an int8 engine is certainly slower than a float one, timed beside it; not with `tune`.

    Raises:
        UsageError: there is no such engine or option, or the graph has no manifest.
        EngineError: the engine, its device or precision is not here, or the build is not what was asked for.
    """
    check_numbers(locals())
    from seatrial.data.preprocessing.aipp import load_aipp
    from seatrial.engines.engine_folder import read_graph
    from seatrial.models.sources import resolve_recipe
    from seatrial.workflow.compile import choose_engine, compile_graph, insert_aipp
    from seatrial.workflow.import_onnx import import_graph
    from seatrial.workflow.tune import tune_graph

    notify = progress or silent
    sizes = () if batch_size == "dynamic" else read_sizes(batch_size)
    options = read_pairs(option if isinstance(option, Mapping) else list_texts(option))
    if recipe is not None:
        import_graph(Path(graph), resolve_recipe(os.fspath(recipe)))
    source = read_graph(Path(graph))
    if aipp is not None:
        source = insert_aipp(source, load_aipp(Path(aipp)), notify)
    spec = replace(choose_engine(source, engine, precision, device), batch_sizes=sizes, options=options)
    if tune:
        return EngineResult(Path(output), tune_graph(source, spec, Path(output), notify).manifest)
    built = compile_graph(source, spec, Path(output), notify, speed_check=speed_check)
    return EngineResult(Path(output), built.manifest)
