"""From an fp32 graph and calibration images to an int8 graph with its manifest."""

from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import onnx
from numpy.typing import NDArray

from seatrial.data.images import LabelledImage, hash_listing
from seatrial.data.loading.batches import iterate_batches
from seatrial.data.preprocessing.input_pipeline import InputPipeline, to_input
from seatrial.errors import NotComparable
from seatrial.evaluation.plausibility import Seen, find_published, find_suspicions
from seatrial.export.accuracy_aware import quantize_within
from seatrial.export.derived_graph import DerivedGraphJob, measure_change, store_derived_graph
from seatrial.export.graph import open_graph
from seatrial.export.quantize import Preset, check_quantized, quantize, raise_opset
from seatrial.machine.cpu import count_cores
from seatrial.models.onnx_file import load_graph, read_facts
from seatrial.progress import Progress, Update
from seatrial.recipes.class_names import read_names
from seatrial.report.numbers import write_points
from seatrial.store.files import hash_value
from seatrial.store.records import GraphManifest, Int8Calibration

AT_ONCE = 256
"""Labelled images in memory at a time."""


@dataclass(frozen=True, slots=True)
class Int8Job(DerivedGraphJob):
    """What to quantise, and on what."""

    pipeline: InputPipeline
    calibration: NDArray[np.generic]
    """Images as the graph takes them."""
    contents: dict[str, int]
    """Sizes by hash of their files."""
    preset: Preset
    max_drop_pp: float | None
    labelled: tuple[LabelledImage, ...]
    """What the drop is measured on."""


def make_int8(job: Int8Job, progress: Progress) -> GraphManifest:
    """Quantise, read back, compare with the float graph; write the ONNX file and its manifest.

    The difference is reported, not judged: int8 gives a few images another first class, and only labels can judge that.

    Raises:
        EngineError: NNCF is missing, or what it made is not per channel.
        ParityError: the logits cannot be a classifier's, or the accuracy cannot be kept.
        NotComparable: the float graph's predictions cannot be believed, so that their accuracy cannot drop.
    """
    plain = raise_opset(load_graph(job.graph, job.manifest.output.name), job.images)
    progress(Update("quantize", note=f"calibrating on {len(job.calibration)} images"))
    int8, kept = _quantize(job, plain, progress)
    layers = check_quantized(int8, plain)
    parity = measure_change("quantize", job, plain, int8)
    calibration = Int8Calibration(
        images=len(job.calibration),
        sha256=hash_value(sorted(job.contents)),
        contents=job.contents,
        preset=job.preset,
        layers=len(layers.int8),
        float_layers=len(layers.plain),
        kept_float=kept,
        max_drop_pp=job.max_drop_pp,
        chosen_on=hash_listing(job.labelled) if kept else None,
    )
    changes = {
        "precision": "int8",
        "opset": read_facts(int8).opset,
        "calibration": calibration,
        "parity": parity,
        "versions": {**job.manifest.versions, "nncf": version("nncf")},
    }
    made = store_derived_graph(int8, job, changes)
    moved = parity[-1]
    flips = f"{moved.top1_disagreements} of {moved.images} images get another first class"
    differs = f"differs from fp32 by {moved.relative_error:.1e}, {flips}"
    progress(Update("quantize", note=f"{len(layers.int8)} of {layers.count} layers in int8, {differs}"))
    return made


def _quantize(job: Int8Job, plain: onnx.ModelProto, progress: Progress) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    if job.max_drop_pp is None:
        return quantize(plain, job.calibration, job.preset), ()
    count = len(job.labelled)
    labels = np.array([image.label for image in job.labelled])
    reference = _predict(job, plain, progress)
    _check_plausible(job, labels, reference)
    right = int((reference == labels).sum())

    def measure(model: onnx.ModelProto) -> float:
        return 100 * (right - int((_predict(job, model, progress) == labels).sum())) / count

    found = quantize_within(plain, job.calibration, job.preset, job.max_drop_pp, measure, progress)
    progress(Update("quantize", note=f"top-1 drops by {write_points(found.drop_pp)} points on {count} images"))
    if found.keep:
        note = f"these {count} images chose {len(found.keep)} float layers, so they do not prove the accuracy"
        progress(Update("quantize", note=note))
    return found.model, found.keep


def _check_plausible(job: Int8Job, labels: NDArray[np.int64], predictions: NDArray[np.int64]) -> None:
    """Refuse to choose layers by an accuracy that cannot drop."""
    recipe = job.pipeline.recipe
    published = find_published(recipe, job.manifest.published is False)
    ids = [image.id for image in job.labelled]
    names = read_names(recipe) or ()
    seen = Seen(ids, labels, predictions, recipe.network.classes, published=published, names=names)
    found = find_suspicions(seen)
    if found and recipe.gates.plausible:
        problem = f"no drop can be measured on predictions that cannot be believed: {found[0].reason}"
        raise NotComparable(problem, found[0].fix)


def _predict(job: Int8Job, model: onnx.ModelProto, progress: Progress) -> NDArray[np.int64]:
    """First classes (n,) of the labelled images, by the graph.

    Not optimised: which levels are sound of a graph is only known once an engine was compiled from it, and one that
    errs would choose layers by its own fault.
    """
    predict = open_graph(model, job.manifest.input.shape[0])
    found: list[NDArray[np.int64]] = []
    paths = [image.path for image in job.labelled]
    done = 0
    for pixels in iterate_batches(paths, job.pipeline, AT_ONCE, count_cores()):
        found.append(predict(to_input(pixels, job.manifest.input, job.pipeline)).argmax(axis=1))
        done += len(found[-1])
        progress(Update("quantize", done, len(paths), "images evaluated"))
    return np.concatenate(found)
