"""Which images `seatrial evaluate` runs: those of a source, a part of them, or some of them many times."""

from dataclasses import dataclass, replace
from pathlib import Path

from seatrial.data.preprocessing.check_prepared import describe_input
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.data.sources import read_images
from seatrial.engines.base import EngineFile, read_engine
from seatrial.errors import UsageError
from seatrial.evaluation.select import repeat_images, select_images
from seatrial.progress import Progress, silent
from seatrial.workflow.evaluate import EvaluateSpec


@dataclass(frozen=True, slots=True)
class ImageSetSpec:
    """Where images come from, and which of them to take."""

    source: str
    """A folder, a list, an `.info` file, tar shards, bins or a pack: see `data.sources`."""
    labels: Path | None = None
    limit: int | None = None
    """Take so many, each class in proportion."""
    seed: int = 0
    fake: int | None = None
    """Repeat the images up to so many, to try long runs."""


def read_set(
    folder: Path | EngineFile, image_set: ImageSetSpec, spec: EvaluateSpec, progress: Progress = silent
) -> EvaluateSpec:
    """`spec` with the images of a set, for the engine in `folder`.

    Raises:
        UsageError: the options contradict each other, or the folder is no engine folder.
        DataError: the source is none, or names and labels do not agree.
        RefusedFile: an archive or a pack is damaged.
    """
    if image_set.limit is not None and image_set.fake is not None:
        raise UsageError("--limit takes fewer images and --fake-images more", "give one of them")
    if image_set.fake is not None and spec.reference is not None:
        raise UsageError("--fake-images measures no accuracy, so there is nothing to compare", "leave --reference out")
    manifest = read_engine(folder).manifest
    expected = describe_input(read_pipeline(manifest.graph), manifest.input.dtype)
    classes = manifest.graph.recipe["network"]["classes"]
    listing = read_images(image_set.source, image_set.labels, classes, spec.allow_partial, expected, progress)
    images, identity = listing.images, listing.source_hash
    if image_set.limit is not None:
        images, identity = select_images(images, image_set.limit, image_set.seed), None
    elif image_set.fake is not None:
        images, identity = repeat_images(images, image_set.fake), None
    missing = {name: f"{name} has a label and is missing" for name in listing.missing}
    return replace(spec, images=images, identity=identity, missing=missing, fake=image_set.fake is not None)
