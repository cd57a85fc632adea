"""The `.bin` files that `seatrial preprocess` or a guide's script made of images, as a network sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.data.bins.write import MANIFEST, BinManifest, name_bins
from seatrial.data.labels import check_folder
from seatrial.data.preprocessing.steps import hash_steps, normalise
from seatrial.errors import DataError, cannot_read
from seatrial.recipes.schema import Recipe
from seatrial.recipes.steps import pixel_steps


@dataclass(frozen=True, slots=True)
class BinFolder:
    """A folder of bins and how they are read."""

    folder: Path
    recipe: Recipe
    is_float: bool
    """float32 CHW, already normalised; else uint8 HWC."""
    doubt: str | None
    """Why they are not the card's, by their own manifest."""

    def read(self, images: Sequence[Path], transposed: bool = False) -> NDArray[np.float32]:
        """What the network takes of these images, (n, 3, height, width).

        Args:
            transposed: read HWC where CHW belongs, and the other way round.

        Raises:
            DataError: a bin cannot be read or has another size.
        """
        height, width = self.recipe.input_size
        raw = np.stack([self._read_one(self.folder / name) for name in name_bins(images)])
        if self.is_float == transposed:
            pixels = raw.reshape(-1, height, width, 3)
        else:
            pixels = raw.reshape(-1, 3, height, width).transpose(0, 2, 3, 1)
        return pixels.transpose(0, 3, 1, 2) if self.is_float else normalise(pixels, self.recipe)

    def _read_one(self, path: Path) -> NDArray[Any]:
        height, width = self.recipe.input_size
        try:
            numbers = np.fromfile(path, np.dtype("<f4") if self.is_float else np.uint8)
        except OSError as error:
            raise cannot_read(str(path), error) from None
        if numbers.size != height * width * 3:
            raise DataError(f"{path} holds {path.stat().st_size} bytes, unlike the others", "write the bins again")
        return numbers


def open_bins(folder: Path, recipe: Recipe) -> BinFolder:
    """Find out what the bins of a folder are: by their `bins.json`, else by the size of the first.

    Raises:
        DataError: there are none, or they are not what the card's network takes.
    """
    check_folder(folder)
    bins = sorted(path for path in folder.glob("*.bin") if not path.name.startswith("."))
    if not bins:
        raise DataError(f"{folder} holds no .bin files", "give the folder of the bins")
    height, width = recipe.input_size
    kinds = {height * width * 3: False, height * width * 12: True}
    found = bins[0].stat().st_size
    if found not in kinds:
        raise DataError(
            f"{bins[0]} holds {found} bytes, and {recipe.name} takes {height}×{width}: "
            f"{height * width * 12} bytes of float32 CHW or {height * width * 3} of uint8 HWC",
            "give bins of the card's main preprocessing or of its pixels",
        )
    return BinFolder(folder, recipe, kinds[found], _doubt_manifest(folder, recipe, kinds[found]))


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


def _doubt_manifest(folder: Path, recipe: Recipe, is_float: bool) -> str | None:
    if not (folder / MANIFEST).is_file():
        return None
    stored = BinManifest.load(folder / MANIFEST)
    if stored.preprocess_hash == hash_steps(recipe.preprocess if is_float else pixel_steps(recipe.preprocess)):
        return None
    steps = []
    for step in stored.steps:
        rest = ", ".join(f"{key} {value}" for key, value in step.items() if key != "step")
        steps.append(f"{step['step']} ({rest})" if rest else str(step["step"]))
    return f"{folder / MANIFEST} names another preprocessing than the card: {', then '.join(steps)}"
