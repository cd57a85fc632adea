"""`seatrial quantize`: an fp32 graph to an int8 one, calibrated on images that are never evaluated on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seatrial.data.calibration import check_apart, hash_contents, read_calibration
from seatrial.data.images import LabelledImage, hash_listing
from seatrial.data.labels import spread
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.engines.base import GraphFile
from seatrial.engines.engine_folder import read_graph
from seatrial.errors import UsageError
from seatrial.evaluation.notes import CHOSEN
from seatrial.machine.environment import read_environment
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.store.files import refuse_other_kind
from seatrial.store.records import GraphManifest
from seatrial.store.stage_cache import CachedStage
from seatrial.workflow.export import PARITY_IMAGES, find_graph, load_inputs

CALIBRATION_IMAGES = 300
QUANTIZE = CachedStage("quantize", "quantize/2", "quantised")


@dataclass(frozen=True, slots=True)
class QuantizeSpec:
    """What to calibrate with, and how much accuracy may go."""

    calibration: Path
    """A folder of images or of class folders, or a text file that lists images."""
    count: int = CALIBRATION_IMAGES
    """At most so many of them."""
    preset: Literal["performance", "mixed"] = "performance"
    images: tuple[LabelledImage, ...] = ()
    """What the graph will be evaluated on: must not overlap; proves the graph."""
    max_drop_pp: float | None = None
    """Keep layers in float until top-1 on `images` drops by no more."""


def quantize_graph(
    graph: Path | GraphFile, spec: QuantizeSpec, output: Path, progress: Progress = silent
) -> GraphManifest:
    """Quantise the fp32 graph at `graph` to `output`, or find it done.

    Raises:
        UsageError: no such graph, or one that is not fp32.
        DataError: calibration images are missing, broken, or among those to evaluate on.
        EngineError: NNCF is missing, or what it made is not per channel.
        ParityError: the logits cannot be a classifier's, or the accuracy cannot be kept.
        NotComparable: the float graph's predictions cannot be believed, so that their accuracy cannot drop.
    """
    path = graph.path if isinstance(graph, GraphFile) else graph
    manifest = _read_float_graph(graph, path, spec, output)
    paths = read_calibration(spec.calibration, spec.count)
    contents = hash_contents(paths)
    check_apart(contents, spec.images)
    key = _quantization_key(manifest, spec, contents)
    found = find_graph(QUANTIZE, key, output, progress)
    if found is not None:
        return found.manifest
    from seatrial.export.int8 import Int8Job, make_int8

    proof = spread([image.path for image in spec.images] or paths, PARITY_IMAGES)
    job = Int8Job(
        graph=path,
        manifest=manifest,
        output=output,
        key=key,
        pipeline=read_pipeline(manifest),
        calibration=load_inputs(manifest, paths),
        contents=contents,
        images=load_inputs(manifest, proof),
        preset=spec.preset,
        max_drop_pp=spec.max_drop_pp,
        labelled=spec.images,
    )
    progress(Update("quantize", doing=f"{path.name}, calibrated on {len(paths)} images"))
    return make_int8(job, progress)


def _read_float_graph(graph: Path | GraphFile, path: Path, spec: QuantizeSpec, output: Path) -> GraphManifest:
    """The manifest of a graph that can be quantised to `output`."""
    refuse_other_kind(output, ".onnx")
    if output.resolve() == path.resolve():
        raise UsageError(f"{output} would overwrite the graph itself", "choose another --output")
    if spec.max_drop_pp is not None and not spec.images:
        raise UsageError("--max-drop-pp is measured on labelled images, and there are none", "give --images")
    manifest = read_graph(graph).manifest
    if manifest.precision != "fp32":
        fix = "quantise the fp32 graph that it was made from"
        raise UsageError(f"{path} computes in {manifest.precision} already", fix)
    return manifest


def check_leak(
    graph: GraphManifest, images: Sequence[LabelledImage], identity: str, progress: Progress = silent
) -> None:
    """Refuse to evaluate a graph on images that it was calibrated with; note a set that chose its float layers.

    Args:
        identity: of the set, as `data.labels.hash_listing` gives it.

    Raises:
        DataError: counts them and names the first.
    """
    done = graph.calibration
    if done is None:
        return
    check_apart(done.contents, images)
    unknown = sum(image.prepared is not None and image.content is None for image in images)
    if unknown:
        note = f"the sources of {unknown} preprocessed images are not known: they may have calibrated this graph"
        progress(Update("evaluate", note=note))
    if done.chosen_on is not None and done.chosen_on == identity:
        progress(Update("evaluate", note=CHOSEN))


def _quantization_key(manifest: GraphManifest, spec: QuantizeSpec, contents: dict[str, int]) -> str:
    chosen = None if spec.max_drop_pp is None else [spec.max_drop_pp, hash_listing(spec.images)]
    return QUANTIZE.key(
        {
            "graph": manifest.sha256,
            "recipe": Recipe.read(manifest.recipe, "the graph's manifest").identity,
            "calibration": sorted(contents),
            "spec": [spec.preset, chosen],
            "versions": read_environment(("nncf", "onnx", "onnxruntime", "onnxruntime-gpu")).versions,
        }
    )
