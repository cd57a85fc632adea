from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torchvision.transforms import InterpolationMode, RandomErasing, RandomResizedCrop
from torchvision.transforms import functional as F

from seatrial.data.images import LabelledImage, PreparedInput
from seatrial.data.preprocessing.decode import decode_image
from seatrial.errors import DataError
from seatrial.recipes.training import Train
from seatrial.train.input import augment
from seatrial.train.input.augment import Augment, DrawnImage, draw_crop, draw_erased

SIZES = [(500, 375), (64, 64), (1, 1), (1, 50), (50, 1), (3, 2), (1000, 10), (10, 1000)]


@pytest.mark.parametrize("min_scale", [0.08, 1.0])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_crop_lies_inside_the_image(width: int, height: int, min_scale: float) -> None:
    rng = np.random.default_rng([width, height])
    for _ in range(500):
        left, top, right, bottom = draw_crop(width, height, min_scale, rng)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def draw_as_torchvision(width: int, height: int, min_scale: float, count: int) -> np.ndarray:
    image = Image.new("1", (width, height))
    drawn = [RandomResizedCrop.get_params(image, [min_scale, 1.0], [3 / 4, 4 / 3]) for _ in range(count)]
    return np.array([(left, top, left + w, top + h) for top, left, h, w in drawn])


def describe(boxes: np.ndarray) -> np.ndarray:
    """Area, log aspect, their squares, and the middle of each box."""
    left, top, right, bottom = boxes.astype(np.float64).T
    area, aspect = (right - left) * (bottom - top), np.log((right - left) / (bottom - top))
    return np.stack([area, aspect, area**2, aspect**2, left + right, top + bottom, (left + right) ** 2])


@pytest.mark.parametrize(("width", "height", "min_scale"), [(500, 375, 0.08), (90, 130, 0.6), (300, 60, 0.5)])
def test_crops_are_distributed_as_torchvisions(width: int, height: int, min_scale: float) -> None:
    count = 2000
    rng = np.random.default_rng(7)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        theirs = describe(draw_as_torchvision(width, height, min_scale, count))
    ours = describe(np.array([draw_crop(width, height, min_scale, rng) for _ in range(count)]))
    error = np.sqrt((ours.var(axis=1) + theirs.var(axis=1)) / count)
    distance = np.abs(ours.mean(axis=1) - theirs.mean(axis=1))
    assert (distance <= 4 * error + 1e-9).all(), distance / np.maximum(error, 1e-9)


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [(100, 10, (43, 0, 56, 10)), (10, 100, (0, 43, 10, 56)), (40, 40, (0, 0, 40, 40)), (40, 36, (0, 0, 40, 36))],
)
def test_an_image_that_no_crop_fits_gives_its_middle(width: int, height: int, box: tuple[int, int, int, int]) -> None:
    class Huge:
        """Draws the largest crop, of an aspect that does not fit."""

        def uniform(self, low: float, high: float) -> float:
            return high if low > 0 else (low if width >= height else high)

    # Area 1 and aspect 4/3 or 3/4 only fit an image of that very shape.
    assert draw_crop(width, height, 1.0, Huge()) == box  # type: ignore[arg-type]


def test_every_side_and_place_of_a_crop_is_distributed_as_torchvisions() -> None:
    """Kolmogorov and Smirnov: no gap between the two distributions of each number of a box."""
    rng = np.random.default_rng(3)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        theirs = draw_as_torchvision(500, 375, 0.08, 3000)
    ours = np.array([draw_crop(500, 375, 0.08, rng) for _ in range(3000)])
    for a, b in zip(to_sides(ours), to_sides(theirs), strict=True):
        assert ks_2samp(a, b).pvalue > 1e-3


def to_sides(boxes: np.ndarray) -> np.ndarray:
    left, top, right, bottom = boxes.T
    return np.stack([left, top, right - left, bottom - top])


@pytest.mark.parametrize(("width", "height"), [(224, 224), (64, 64), (40, 100), (5, 4)])
def test_what_is_erased_is_distributed_as_torchvisions(width: int, height: int) -> None:
    rng = np.random.default_rng(5)
    theirs = []
    with torch.random.fork_rng():
        torch.manual_seed(5)
        for _ in range(3000):
            top, left, h, w, value = RandomErasing.get_params(
                torch.zeros(3, height, width), augment.ERASED_AREA, augment.ERASED_RATIO, [0.0]
            )
            theirs.append((left, top, left + w, top + h) if value.ndim == 3 and value.numel() == 1 else (0, 0, 0, 0))
    ours = np.array([draw_erased(width, height, rng) for _ in range(3000)])
    for a, b in zip(to_sides(ours), to_sides(np.array(theirs)), strict=True):
        assert ks_2samp(a, b).pvalue > 1e-3


def make(size: tuple[int, int] = (4, 6), **settings: Any) -> Augment:
    return Augment(Train(**settings), size, (128, 64, 32))


def load(augment: Augment, path: Path, seed: int, epoch: int = 0) -> np.ndarray:
    row = np.zeros((*augment.size, 3), np.uint8)
    augment(row, DrawnImage(LabelledImage(path.name, path, 0), (seed, epoch, 0, 0)))
    return row


def make_gradient(folder: Path) -> Path:
    """Red grows to the right, green downwards."""
    ramp = np.arange(0, 200, 2, dtype=np.uint8)
    pixels = np.stack(np.broadcast_arrays(ramp[None, :], ramp[:80, None], np.uint8(7)), axis=2)
    Image.fromarray(np.ascontiguousarray(pixels)).save(folder / "gradient.png")
    return folder / "gradient.png"


def test_an_image_comes_at_its_size_mirrored_half_of_the_time(tmp_path: Path) -> None:
    path = make_gradient(tmp_path)
    mirrored = 0
    for seed in range(200):
        pixels = load(make(min_scale=0.5), path, seed).astype(np.int64)
        assert pixels.shape == (4, 6, 3)
        to_the_right = (np.diff(pixels[:, :, 0], axis=1) > 0).all()
        assert to_the_right or (np.diff(pixels[:, :, 0], axis=1) < 0).all()
        assert (np.diff(pixels[:, :, 1], axis=0) > 0).all() and (pixels[:, :, 2] == 7).all()
        mirrored += not to_the_right
    assert 70 <= mirrored <= 130


def test_digits_are_not_mirrored_and_a_key_gives_the_same_pixels(tmp_path: Path) -> None:
    path = make_gradient(tmp_path)
    found = []
    for seed in range(30):
        pixels, again = (load(make(min_scale=0.5, flip=False), path, seed) for _ in range(2))
        assert (np.diff(pixels[:, :, 0].astype(np.int64), axis=1) > 0).all()
        np.testing.assert_array_equal(pixels, again)
        found.append(pixels.tobytes())
    assert len(set(found)) == 30


def test_a_whole_image_is_only_resized(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = [load(make((4, 4), min_scale=1.0, flip=False), tmp_path / "a.png", seed) for seed in range(9)]
    assert any(np.array_equal(image, pixels) for image in found)


@pytest.mark.parametrize("kind", ["a.jpeg", "grey.jpeg", "progressive.jpeg", "a.png"])
@pytest.mark.parametrize("size", [(224, 224), (64, 48), (33, 70)])
def test_pixels_are_those_of_torchvision_for_the_same_box(kind: str, size: tuple[int, int], tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (19, 25, 3), dtype=np.uint8))
    image = noise.resize((250, 187), Image.Resampling.BICUBIC)
    path = tmp_path / kind
    (image.convert("L") if "grey" in kind else image).save(path, progressive="progressive" in kind)
    for seed in range(12):
        key = (seed, 3, 0, 0)
        rng = np.random.default_rng(key)
        left, top, right, bottom = draw_crop(250, 187, 0.08, rng)
        whole = decode_image(path.read_bytes(), kind)
        theirs = F.resized_crop(
            whole, top, left, bottom - top, right - left, list(size), InterpolationMode.BILINEAR, antialias=True
        )
        theirs = F.hflip(theirs) if rng.random() < 0.5 else theirs
        np.testing.assert_array_equal(load(make(size), path, seed, epoch=3), np.asarray(theirs))


def test_what_is_erased_has_the_mean_colour_and_the_rest_is_left_alone(tmp_path: Path) -> None:
    path = make_gradient(tmp_path)
    erased = 0
    for seed in range(100):
        plain = load(make((40, 50), flip=False), path, seed)
        pixels = load(make((40, 50), flip=False, random_erasing=0.4), path, seed)
        gone = (pixels != plain).any(axis=2)
        if gone.any():
            rows, columns = np.flatnonzero(gone.any(axis=1)), np.flatnonzero(gone.any(axis=0))
            box = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert (box == (128, 64, 32)).all()
            # A gradient's pixel may have that red and green by chance, and its blue never.
            assert gone.sum() == box.shape[0] * box.shape[1]
            erased += 1
    assert 25 <= erased <= 55


def test_recolouring_follows_from_the_key_and_comes_before_erasing(tmp_path: Path) -> None:
    path = make_gradient(tmp_path)
    both = make((40, 50), augment="trivial", random_erasing=1.0)
    found = [load(both, path, seed) for seed in range(20)]
    for seed, pixels in enumerate(found):
        np.testing.assert_array_equal(load(both, path, seed), pixels)
        assert (pixels == (128, 64, 32)).all(axis=2).sum() >= 20
    plain = [load(make((40, 50), random_erasing=1.0), path, seed) for seed in range(20)]
    assert sum(not np.array_equal(a, b) for a, b in zip(found, plain, strict=True)) >= 10


def test_an_image_that_follows_itself_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_gradient(tmp_path)
    (tmp_path / "other.png").write_bytes(path.read_bytes())
    images = [LabelledImage(name, tmp_path / name, 0) for name in ("gradient.png", "other.png")]
    decoded: list[str] = []
    decode = augment.decode_array
    monkeypatch.setattr(augment, "decode_array", lambda data, name: decoded.append(name) or decode(data, name))
    row = np.zeros((4, 6, 3), np.uint8)
    drawn = [DrawnImage(image, (0, 0, 0, repetition)) for image in (*images, images[0]) for repetition in range(3)]
    found = []
    for one in drawn:
        make(repeats=3)(row, one)
        found.append(row.tobytes())
    assert [Path(name).name for name in decoded] == ["gradient.png", "other.png", "gradient.png"]
    assert found[:3] == found[6:] == found[3:6] and len(set(found)) == 3


def test_packed_pixels_are_cropped_as_those_of_a_file(tmp_path: Path) -> None:
    path = make_gradient(tmp_path)
    pixels = np.asarray(Image.open(path))
    (tmp_path / "raw").write_bytes(b"..." + pixels.tobytes())
    packed = LabelledImage(
        "gradient.png", tmp_path / "raw", 0, (3, pixels.nbytes), PreparedInput("uint8", pixels.shape, None)
    )
    row = np.zeros((4, 6, 3), np.uint8)
    make()(row, DrawnImage(packed, (5, 0, 0, 0)))
    np.testing.assert_array_equal(row, load(make(), path, 5))


def test_a_damaged_image_is_a_data_error(tmp_path: Path) -> None:
    path = make_gradient(tmp_path)
    (tmp_path / "cut.png").write_bytes(path.read_bytes()[:-50])
    changed = LabelledImage("g", path, 0, crc32=1)
    for image in (changed, LabelledImage("c", tmp_path / "cut.png", 0), LabelledImage("n", tmp_path / "none.png", 0)):
        with pytest.raises(DataError, match=r"gradient\.png is damaged|cut\.png is damaged|none\.png cannot be read"):
            make()(np.zeros((4, 6, 3), np.uint8), DrawnImage(image, (0, 0, 0, 0)))
