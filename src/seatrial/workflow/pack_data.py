"""`seatrial data pack`: a labelled set decoded once, for many engines."""

from dataclasses import dataclass
from pathlib import Path

from seatrial.data.preprocessing.aipp import load_aipp
from seatrial.data.preprocessing.check_prepared import describe_input
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.data.sources import read_images
from seatrial.data.sources.pack_file import PackReport, write_pack
from seatrial.machine.cpu import count_cores
from seatrial.models.sources import resolve_recipe
from seatrial.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class PackSpec:
    """Which images to decode, and how."""

    recipe: str
    """A card's name or path."""
    source: str
    """Any that `data.sources.read_images` takes, but bins."""
    output: Path
    labels: Path | None = None
    decode_workers: int | None = None
    """Threads; None takes one for each core."""
    allow_partial: bool = False
    """Do without images that have a label but are not there."""
    aipp: Path | None = None
    """Configuration of the engines that will take the pixels, where their graphs have one."""


def pack_images(spec: PackSpec, progress: Progress = silent) -> PackReport:
    """Write the pixels of a labelled set to one file, or find it written.

    Raises:
        UsageError: no such card or configuration, images that are preprocessed already, or another file at `output`.
        DataError: images or labels are missing, broken or contradictory.
        RefusedFile: an archive is damaged or unsafe.
        StorageError: the disk is full or may not be written.
    """
    recipe = resolve_recipe(spec.recipe)
    pipeline = make_pipeline(recipe, None if spec.aipp is None else load_aipp(spec.aipp))
    listing = read_images(
        spec.source,
        spec.labels,
        recipe,
        spec.allow_partial,
        describe_input(pipeline, "uint8"),
        progress,
    )
    return write_pack(listing, pipeline, spec.output, spec.decode_workers or count_cores(), progress)
