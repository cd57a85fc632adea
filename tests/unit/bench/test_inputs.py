from pathlib import Path

import numpy as np
import pytest

from seatrial.bench import inputs
from seatrial.bench.inputs import make_batches, make_random_pixels, read_pixels
from seatrial.data.preprocessing.input_pipeline import make_pipeline, to_input
from seatrial.errors import DataError
from seatrial.recipes.schema import Recipe
from seatrial.store.records import TensorSpec

PIPELINE = make_pipeline(
    Recipe.model_validate(
        {
            "name": "tiny",
            "title": "Tiny",
            "network": {"name": "tiny", "classes": 3},
            "preprocess": [
                {"step": "resize", "size": [2, 4]},
                {"step": "to_float"},
                {"step": "normalise", "mean": [0.2, 0.4, 0.6], "std": [0.5, 0.5, 0.25]},
            ],
        }
    )
)
BYTES = TensorSpec(name="image", dtype="uint8", shape=(None, 2, 4, 3), layout="NHWC")
FLOATS = TensorSpec(name="image", dtype="float32", shape=(None, 3, 2, 4), layout="NCHW")
IMAGE_BYTES = 2 * 4 * 3


def test_batches_take_every_image_once_before_any_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "ROTATED_BYTES", 12 * IMAGE_BYTES)
    pixels = np.broadcast_to(np.arange(6, dtype=np.uint8)[:, None, None, None], (6, 2, 4, 3))
    batches = make_batches(pixels, 3, BYTES, PIPELINE)
    shown = [int(image[0, 0, 0]) for batch in batches for image in batch]
    assert len(batches) == 4
    assert sorted(shown[:6]) == sorted(shown[6:]) == list(range(6))
    assert shown[:6] != shown[6:]


def test_batches_do_not_fit_in_a_cache() -> None:
    spec = BYTES.model_copy(update={"shape": (None, 256, 512, 3)})
    pixels = np.zeros((2, 256, 512, 3), dtype=np.uint8)
    batches = make_batches(pixels, 4, spec, PIPELINE)
    assert sum(batch.nbytes for batch in batches) >= 64 * 2**20
    assert len({batch.ctypes.data for batch in batches}) == len(batches)


def test_large_batches_still_rotate_in_every_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "ROTATED_BYTES", 1)
    assert len(make_batches(make_random_pixels(PIPELINE, 0), 8, BYTES, PIPELINE, streams=3)) == 6


def test_random_pixels_follow_their_seed_and_are_not_zeros() -> None:
    pixels = make_random_pixels(PIPELINE, seed=1)
    assert pixels.shape[1:] == (2, 4, 3)
    assert (pixels == make_random_pixels(PIPELINE, seed=1)).all()
    assert (pixels != make_random_pixels(PIPELINE, seed=2)).any()
    assert len(np.unique(pixels)) > 200


def test_bytes_pass_as_they_are() -> None:
    pixels = make_random_pixels(PIPELINE, 0)[:2]
    assert np.array_equal(to_input(pixels, BYTES, PIPELINE), pixels)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_floats_are_normalised(dtype: str) -> None:
    pixels = np.full((1, 2, 4, 3), 255, dtype=np.uint8)
    batch = to_input(pixels, FLOATS.model_copy(update={"dtype": dtype}), PIPELINE)
    assert (batch.shape, str(batch.dtype)) == ((1, 3, 2, 4), dtype)
    assert batch[0, :, 0, 0] == pytest.approx([1.6, 1.2, 1.6], rel=1e-3)


def test_prepared_images_are_read(tmp_path: Path) -> None:
    pixels = make_random_pixels(PIPELINE, 0)
    np.save(tmp_path / "images.npy", pixels)
    assert np.array_equal(read_pixels(tmp_path / "images.npy", PIPELINE), pixels)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 2, 4, 3), dtype=np.float32), "float32 2×2×4×3"),
        (np.zeros((2, 3, 2, 4), dtype=np.uint8), "uint8 2×3×2×4, the engine takes uint8 images n×2×4×3"),
        (np.zeros((1, 2, 4, 3), dtype=np.uint8), "1 images"),
        (np.array([{}], dtype=object), "cannot be read"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "images.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=words):
        read_pixels(tmp_path / "images.npy", PIPELINE)


def test_missing_and_cut_off_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"images\.npy cannot be read"):
        read_pixels(tmp_path / "images.npy", PIPELINE)
    np.save(tmp_path / "images.npy", make_random_pixels(PIPELINE, 0))
    whole = (tmp_path / "images.npy").read_bytes()
    (tmp_path / "images.npy").write_bytes(whole[:-1])
    with pytest.raises(DataError, match="cannot be read"):
        read_pixels(tmp_path / "images.npy", PIPELINE)
