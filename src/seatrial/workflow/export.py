"""`seatrial export`: a checkpoint to a proved graph."""

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seatrial.data.loading.batches import load_batch
from seatrial.data.preprocessing.input_pipeline import InputPipeline, make_pipeline, read_pipeline, to_input
from seatrial.engines.base import GraphFile
from seatrial.engines.engine_folder import read_graph
from seatrial.errors import SeatrialError, UsageError
from seatrial.export.spec import ExportSpec, check_opset
from seatrial.models.checkpoint import describe_reading, load_checkpoint, store_checkpoint
from seatrial.models.known_hash import KnownHash, check_known, read_stated
from seatrial.models.reading import AS_IT_IS, CheckpointReading
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.recipes.class_names import name_classes
from seatrial.recipes.steps import Size, find_size
from seatrial.store.files import hash_file, hash_value, manifest_path, refuse_other_kind
from seatrial.store.records import CheckpointManifest, GraphManifest
from seatrial.store.stage_cache import CachedStage
from seatrial.workflow.class_names import check_order, find_trained_names

if TYPE_CHECKING:
    from seatrial.models.checkpoint import LoadedCheckpoint

PARITY_IMAGES = 64
KEYED = ("opset", "batch_size", "exporter", "simplify", "fuse", "aipp")
"""What of an `ExportSpec` decides which graph it is, beside the weights."""
EXPORT = CachedStage("export", "export/2", "exported")


def read_weights(
    recipe: Recipe, source: Path, output: Path, reading: CheckpointReading = AS_IT_IS
) -> "CheckpointManifest | LoadedCheckpoint":
    """Read a published checkpoint, or find that it is what is stored at `output`; nothing is written.

    Args:
        reading: what the user says of the file.

    Raises:
        UsageError: there is no such file.
        RefusedFile: it is corrupt, unsafe, another network's, or not the file that it should be.
    """
    if not source.is_file():
        raise UsageError(f"there is no checkpoint {source}", "give --checkpoint FILE")
    known = check_known(source, recipe)
    return find_weights_of(recipe, known, output, reading) or load_checkpoint(source, recipe, known, reading)


def find_weights_of(
    recipe: Recipe, known: KnownHash, output: Path, reading: CheckpointReading = AS_IT_IS
) -> CheckpointManifest | None:
    """The manifest of the weights at `output`, if they are unchanged and of this checkpoint."""
    with contextlib.suppress(SeatrialError):
        found = CheckpointManifest.load(manifest_path(output))
        unchanged = output.is_file() and hash_file(output) == found.sha256
        same = (found.source_sha256, found.network, found.published, found.reading) == (
            known.sha256,
            recipe.network.name,
            known.published,
            describe_reading(recipe, reading),
        )
        if unchanged and same:
            return found
    return None


def keep_weights(
    weights: "CheckpointManifest | LoadedCheckpoint", source: Path, output: Path, progress: Progress = silent
) -> CheckpointManifest:
    """Store at `output` what `read_weights` read, if it was not found there.

    Raises:
        StorageError: the disk is full or may not be written.
    """
    if isinstance(weights, CheckpointManifest):
        stored, notes = weights, [f"already stored: {output.name}"]
    else:
        stored = store_checkpoint(weights, output)
        notes = [f"{stored.parameters:,} parameters from {source.name} ({stored.layout})"]
    if stored.published is False:
        whose = f"{source.name} is not the published file of recipe {stored.recipe}"
        notes.append(f"{whose}: the published accuracy is not its own")
    stated = read_stated(source.name)
    if stated is not None and not stored.source_sha256.startswith(stated):
        notes.append(f"{source.name} does not have the checksum in its name; your own weights need not")
    for note in notes:
        progress(Update("checkpoint", note=note))
    return stored


def export_graph(
    recipe: Recipe,
    checkpoint: Path,
    output: Path,
    spec: ExportSpec,
    images: Sequence[Path],
    progress: Progress = silent,
) -> GraphManifest:
    """Export the stored checkpoint at `checkpoint` to `output`, proved on `images`, or find it done.

    The exporter can write the opset: see `check_opset`.

    Raises:
        EngineError: the exporter wrote something else than was requested.
        ParityError: a step changed the predictions.
    """
    weights = CheckpointManifest.load(manifest_path(checkpoint))
    pipeline = make_pipeline(recipe, spec.aipp)
    pixels = load_batch(images, pipeline) if images else draw_inputs(PARITY_IMAGES, pipeline)
    key = EXPORT.key(
        {
            "recipe": recipe.identity,
            "preprocess": pipeline.hash,
            "checkpoint": weights.sha256,
            "spec": {name: value for name, value in asdict(replace(spec, aipp=None)).items() if name in KEYED},
            "images": hash_value(pixels.tobytes().hex()),
            "versions": {name: version(name) for name in ("torch", "onnx", "onnxslim")},
        }
    )
    found = find_graph(EXPORT, key, output, progress)
    if found is not None:
        return found.manifest
    from seatrial.export.export_graph import ExportJob, make_graph

    progress(Update("export", doing=f"{recipe.network.name} to {output.name}"))
    plain = load_batch(images, make_pipeline(recipe)) if spec.aipp and images else None
    return make_graph(ExportJob(pipeline, checkpoint, output, key, pixels, spec, plain), progress)


def export_checkpoint(
    recipe: Recipe,
    source: Path,
    output: Path,
    spec: ExportSpec,
    images: Sequence[Path],
    progress: Progress = silent,
) -> GraphManifest:
    """Export a published checkpoint; its canonical form goes beside `output` as NAME.safetensors.

    Raises:
        SeatrialError: as `check_order`, `read_weights`, `keep_weights` and `export_graph`.
    """
    refuse_other_kind(output, ".onnx")
    stored = output.with_suffix(".safetensors")
    if stored.resolve() == source.resolve():
        raise UsageError(f"{stored} would overwrite the checkpoint itself", "choose another --output")
    if stored.exists() and not manifest_path(stored).exists():
        raise UsageError(
            f"{stored} is in the way of the weights of {output.name}", "move it, or choose another --output"
        )
    if output.is_dir():
        raise UsageError(f"{output} is a folder", "choose another --output")
    check_opset(spec)
    trained = find_trained_names(source)
    check_order(recipe, trained, source)
    recipe = name_classes(recipe, trained)
    make_pipeline(recipe, spec.aipp)  # What does not fit is an error before anything is stored.
    keep_weights(read_weights(recipe, source, stored, spec.reading), source, stored, progress)
    return export_graph(recipe, stored, output, spec, images, progress)


def find_graph(stage: CachedStage, key: str, output: Path, progress: Progress) -> GraphFile | None:
    """The graph at `output` if the stage stored it under this key and it has not changed."""
    beside = manifest_path(output)
    return stage.find(key, lambda: GraphManifest.load(beside), lambda _: read_graph(output), progress, output.name)


def load_inputs(graph: GraphManifest, images: Sequence[Path]) -> NDArray[np.generic]:
    """Images as a graph takes them; drawn ones where there are none."""
    pipeline = read_pipeline(graph)
    pixels = load_batch(images, pipeline) if images else draw_inputs(PARITY_IMAGES, pipeline)
    return to_input(pixels, graph.input, pipeline)


def draw_inputs(count: int, pipeline: InputPipeline) -> NDArray[np.uint8]:
    """Pictures of coloured waves (n, *pipeline.shape), for checks where no images were given."""
    size = pipeline.recipe.input_size if pipeline.aipp is None else find_size(pipeline.steps)
    return np.stack([pipeline.encode(picture) for picture in draw_pictures(count, size)])


def draw_pictures(count: int, size: Size) -> NDArray[np.uint8]:
    """Coloured waves, (n, height, width, 3)."""
    height, width = size
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = rng.uniform(-12, 12, (count, 3, 2))
    phase = rng.uniform(0, 2 * np.pi, (count, 3, 1, 1))
    angle = waves[..., 0, None, None] * x + waves[..., 1, None, None] * y + phase
    return np.ascontiguousarray((127.5 + 127.5 * np.sin(angle)).astype(np.uint8).transpose(0, 2, 3, 1))
