"""`seatrial preprocess`: a folder of images as bins."""

from dataclasses import dataclass
from pathlib import Path

from seatrial.data.bins.info_file import write_info
from seatrial.data.bins.write import BinForm, BinReport, write_bins
from seatrial.data.labels import list_images
from seatrial.data.preprocessing.yuv import PixelFormat
from seatrial.errors import DataError
from seatrial.machine.cpu import count_cores
from seatrial.models.sources import resolve_recipe
from seatrial.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """Which images to write as bins, and how."""

    recipe: str
    """A card's name or path."""
    images: Path
    output: Path
    mode: str | None = None
    """One of the card's; None is its main preprocessing."""
    decode_workers: int | None = None
    """Processes; None takes one for each core."""
    pixels: PixelFormat = "rgb"
    """How the pixels of a uint8 mode are stored."""
    info: Path | None = None
    """Where an `.info` file goes that lists the bins."""


def preprocess_images(spec: PreprocessSpec, progress: Progress = silent) -> BinReport:
    """Write a `.bin` for each image of a folder, and an `.info` file that lists them with `info`.

    Raises:
        UsageError: the card has no such mode, or the output folder holds something else.
        DataError: a file is no image, or the output folder is for another preprocessing.
    """
    form = BinForm(resolve_recipe(spec.recipe).find_mode(spec.mode), spec.pixels, spec.recipe)
    images = list_images(spec.images)
    if not images:
        raise DataError(f"image folder {spec.images} holds no images", "give a folder of images")
    report = write_bins(form, images, spec.output, spec.decode_workers or count_cores(), progress)
    if spec.info is not None:
        write_info(spec.output, spec.info, report.manifest.width, report.manifest.height)
    return report
