"""Bins read back are what was written."""

from pathlib import Path

import numpy as np
import pytest

from seatrial.data.bins.read import list_with_bins, open_bins
from seatrial.data.bins.write import BinForm, write_bins
from seatrial.data.labels import list_images
from seatrial.data.preprocessing.input_pipeline import decode_pixels
from seatrial.data.preprocessing.steps import normalise
from seatrial.errors import DataError
from seatrial.recipes import load_recipe
from seatrial.recipes.schema import Mode
from tiny_trial import TinyTrial


@pytest.mark.parametrize("kind", ["float", "uint8"])
def test_our_own_bins_are_the_cards(kind: str, tiny_trial: TinyTrial, tmp_path: Path) -> None:
    recipe, paths = load_recipe(str(tiny_trial.card)), list_images(tiny_trial.images)[:3]
    steps = recipe.preprocess if kind == "float" else recipe.preprocess[:2]
    write_bins(BinForm(Mode(preprocess=steps)), paths, tmp_path, 1)
    bins = open_bins(tmp_path, recipe)
    wanted = normalise(
        np.stack([decode_pixels(path.read_bytes(), str(path), recipe.preprocess) for path in paths]), recipe
    )
    assert (bins.form.dtype == "float32") == (kind == "float") and bins.doubt is None
    assert np.array_equal(bins.read(paths), wanted)
    assert bins.read(paths, transposed=True).shape == wanted.shape
    assert not np.array_equal(bins.read(paths, transposed=True), wanted)


def test_a_manifest_of_other_steps_is_doubted(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    recipe, paths = load_recipe(str(tiny_trial.card)), list_images(tiny_trial.images)[:1]
    crop = Mode(preprocess=recipe.preprocess[1:])
    write_bins(BinForm(crop), paths, tmp_path, 1)
    doubt = open_bins(tmp_path, recipe).doubt
    assert doubt is not None and "another preprocessing than the card: center_crop (size [32, 32], " in doubt


def test_what_is_no_bin_of_this_card_is_refused(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    recipe, paths = load_recipe(str(tiny_trial.card)), list_images(tiny_trial.images)[:2]
    with pytest.raises(DataError, match=r"holds no \.bin files"):
        open_bins(tmp_path, recipe)
    with pytest.raises(DataError, match=r"one would be image_000\.bin"):
        list_with_bins(tmp_path, paths)
    (tmp_path / "image_000.bin").write_bytes(bytes(100))
    with pytest.raises(DataError, match=r"has 100 bytes, and tiny takes 12288 .float32 3×32×32. or 3072"):
        open_bins(tmp_path, recipe)
    (tmp_path / "image_000.bin").write_bytes(bytes(3072))
    (tmp_path / "image_001.bin").write_bytes(bytes(3071))
    bins = open_bins(tmp_path, recipe)
    with pytest.raises(DataError, match=r"image_001\.bin has 3071 bytes, the engine.s input 3072"):
        bins.read(paths)
    with pytest.raises(DataError, match=r"image_002\.bin cannot be read"):
        bins.read(list_images(tiny_trial.images)[2:3])
    assert list_with_bins(tmp_path, list_images(tiny_trial.images)) == paths
