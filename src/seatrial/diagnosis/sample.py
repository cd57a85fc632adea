"""What is diagnosed: a run folder, and a sample of its images."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.data.bins.read import BinFolder, list_with_bins, open_bins
from seatrial.data.classes import Classes
from seatrial.data.images import LabelledImage, are_labelled
from seatrial.data.labels import read_labels, spread
from seatrial.data.loading.batches import iterate_batches
from seatrial.data.preprocessing.input_pipeline import InputPipeline, make_pipeline
from seatrial.data.sources import read_unlabelled
from seatrial.errors import UsageError
from seatrial.machine.cpu import count_cores
from seatrial.progress import Progress, Update
from seatrial.recipes import Recipe
from seatrial.store.records import GraphManifest, RunManifest


@dataclass(frozen=True, slots=True)
class DiagnoseSpec:
    """Which run to diagnose, and on what."""

    run: Path
    images: Path | None = None
    """Default: the run's own."""
    labels: Path | None = None
    """Default: the run's own; with `images`, class folders."""
    bins: Path | None = None
    """The images as somebody else's preprocessing wrote them."""
    limit: int = 128
    """Images at most, evenly spaced."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A run and the images that it is diagnosed on."""

    run: Path
    manifest: RunManifest
    recipe: Recipe
    graph: GraphManifest
    pipeline: InputPipeline
    labels: Path | None
    own_inputs: bool
    """Images and labels are those that the run names."""
    labelled: tuple[LabelledImage, ...]
    """Every image of the set."""
    images: tuple[LabelledImage, ...]
    """The sampled images."""
    pixels: NDArray[np.uint8]
    """Their pixels, (n, *pipeline.shape)."""
    bins: BinFolder | None

    @property
    def names(self) -> list[str]:
        """Ids of the images that are run."""
        return [image.id for image in self.images]

    def measure_top1(self, logits: NDArray[np.floating]) -> float | None:
        """The share of the images that are run whose first class is the label; None without labels."""
        return float((logits.argmax(axis=1) == self.truth).mean()) if are_labelled(self.images) else None

    @property
    def truth(self) -> NDArray[np.int64]:
        """Labels of the images that are run."""
        return np.array([image.label for image in self.images])

    @property
    def batch_size(self) -> int:
        """That the run evaluated with: engines of fixed batch sizes have a file for it."""
        return int(self.manifest.spec["evaluate_batch_size"])

    def see(self, part: slice) -> NDArray[np.float32]:
        """The network's input for some images."""
        return self.pipeline.finish(self.pixels[part])


def read_sample(spec: DiagnoseSpec, progress: Progress) -> Sample:
    """Read the run's manifests, find its images and decode a sample of them.

    Raises:
        UsageError: the folder is no run, or its images have moved.
        DataError: images, labels or bins are missing or contradictory.
    """
    if not (spec.run / "run.json").is_file():
        raise UsageError(f"{spec.run} is no run folder (it has no run.json)", "`seatrial run` makes one")
    manifest = RunManifest.load(spec.run / "run.json")
    recipe = Recipe.read(manifest.recipe, str(spec.run / "run.json"))
    if recipe.network.builder == "onnx":
        raise UsageError(
            f"{spec.run} is a run of an ONNX file, and what `seatrial diagnose` compares every stage with is torch",
            "run the checkpoint that the file was exported from, and diagnose that",
        )
    graph = GraphManifest.load(spec.run / "model.onnx.json")
    pipeline = make_pipeline(recipe)
    folder, labels = _find_inputs(spec, manifest)
    unlabelled = spec.images is None and labels is None and manifest.spec.get("no_labels", False)
    labelled = _read_set(folder, labels, unlabelled, recipe, progress)
    paths = [image.path for image in labelled]
    if spec.bins is not None:
        paths = list_with_bins(spec.bins, paths)
    by_path = {image.path: image for image in labelled}
    chosen = spread(paths, spec.limit)
    return Sample(
        run=spec.run,
        manifest=manifest,
        recipe=recipe,
        graph=graph,
        pipeline=pipeline,
        labels=labels,
        own_inputs=spec.images is None and spec.labels is None,
        labelled=labelled,
        images=tuple(by_path[path] for path in chosen),
        pixels=_load(chosen, pipeline, progress),
        bins=None if spec.bins is None else open_bins(spec.bins, recipe),
    )


def _read_set(
    folder: Path, labels: Path | None, unlabelled: bool, recipe: Recipe, progress: Progress
) -> tuple[LabelledImage, ...]:
    """Every image; a label that the network does not have is a finding here, not an error."""
    if unlabelled:
        return read_unlabelled(folder, progress=progress).images
    return read_labels(folder, labels, replace(Classes.of(recipe), bounded=False), progress)


def _find_inputs(spec: DiagnoseSpec, manifest: RunManifest) -> tuple[Path, Path | None]:
    """Images and labels as given, else the run's own."""
    if spec.images is not None:
        return spec.images, spec.labels
    if not manifest.images:
        raise UsageError(f"{spec.run / 'run.json'} names no images", "give --images and --labels")
    own = None if manifest.labels is None else Path(manifest.labels)
    images, labels = Path(manifest.images), spec.labels or own
    missing = next((path for path in (images, labels) if path is not None and not path.exists()), None)
    if missing is not None:
        raise UsageError(
            f"the run was made of {missing}, which does not exist as seen from this folder",
            "give --images and --labels, or start in the folder in which the run was started",
        )
    return images, labels


def _load(paths: list[Path], pipeline: InputPipeline, progress: Progress) -> NDArray[np.uint8]:
    pixels = np.empty((len(paths), *pipeline.shape), dtype=np.uint8)
    done = 0
    for batch in iterate_batches(paths, pipeline, 16, count_cores()):
        pixels[done : done + len(batch)] = batch
        done += len(batch)
        progress(Update("diagnose", done, len(paths), "images", {"stage": "decoding"}))
    return pixels
