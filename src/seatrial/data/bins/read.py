"""The `.bin` files that `seatrial preprocess` or a guide's script made of images, as a network sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.data.bins.write import MANIFEST, BinManifest, name_bins
from seatrial.data.images import LabelledImage, PreparedInput
from seatrial.data.labels import check_folder
from seatrial.data.preprocessing.steps import hash_steps, normalise
from seatrial.errors import DataError
from seatrial.recipes.schema import Recipe
from seatrial.recipes.steps import pixel_steps


@dataclass(frozen=True, slots=True)
class BinFolder:
    """A folder of bins and how they are read."""

    folder: Path
    recipe: Recipe
    form: PreparedInput
    """Normalised floats, or pixels."""
    doubt: str | None
    """Why they are not the card's, by their own manifest."""

    def read(self, images: Sequence[Path], transposed: bool = False) -> NDArray[np.float32]:
        """What the network takes of these images, (n, channels, height, width).

        Args:
            transposed: read HWC where CHW belongs, and the other way round.

        Raises:
            DataError: a bin cannot be read or has another size.
        """
        (height, width), channels = self.recipe.input_size, self.recipe.channels
        raw = np.empty((len(images), *self.form.shape), self.form.dtype)
        for row, name in zip(raw, name_bins(images), strict=True):
            LabelledImage(name, self.folder / name, -1, prepared=self.form).read_into(row)
        is_float = self.form.dtype == "float32"
        if is_float == transposed:
            pixels = raw.reshape(-1, height, width, channels)
        else:
            pixels = raw.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
        return pixels.transpose(0, 3, 1, 2) if is_float else normalise(pixels, self.recipe)


def open_bins(folder: Path, recipe: Recipe) -> BinFolder:
    """Find out what the bins of a folder are: by their `bins.json`, else by the size of the first.

    Raises:
        DataError: there are none, or they are not what the card's network takes.
    """
    check_folder(folder)
    bins = sorted(path for path in folder.glob("*.bin") if not path.name.startswith("."))
    if not bins:
        raise DataError(f"{folder} holds no .bin files", "give the folder of the bins")
    kinds = (PreparedInput.floats, PreparedInput.pixels)
    forms = [kind(recipe.input_size, channels=recipe.channels) for kind in kinds]
    size_bytes = bins[0].stat().st_size
    form = next((form for form in forms if form.size_bytes == size_bytes), None)
    if form is None:
        raise DataError(
            f"{bins[0]} has {size_bytes} bytes, and {recipe.name} takes "
            + " or ".join(f"{form.size_bytes} ({form})" for form in forms),
            "give bins of the card's main preprocessing or of its pixels",
        )
    return BinFolder(folder, recipe, form, _doubt_manifest(folder, recipe, form))


def list_with_bins(folder: Path, images: Sequence[Path]) -> list[Path]:
    """Those of the images that have a bin.

    Raises:
        DataError: none has one.
    """
    with_bin = [path for name, path in name_bins(images).items() if (folder / name).is_file()]
    if not with_bin:
        wanted = next(iter(name_bins(images)))
        raise DataError(f"{folder} holds no .bin file of any of the {len(images)} images", f"one would be {wanted}")
    return with_bin


def _doubt_manifest(folder: Path, recipe: Recipe, form: PreparedInput) -> str | None:
    if not (folder / MANIFEST).is_file():
        return None
    stored = BinManifest.load(folder / MANIFEST)
    if stored.preprocess_hash == hash_steps(
        recipe.preprocess if form.dtype == "float32" else pixel_steps(recipe.preprocess)
    ):
        return None
    steps = []
    for step in stored.steps:
        rest = ", ".join(f"{key} {value}" for key, value in step.items() if key != "step")
        steps.append(f"{step['step']} ({rest})" if rest else str(step["step"]))
    return f"{folder / MANIFEST} names another preprocessing than the card: {', then '.join(steps)}"
