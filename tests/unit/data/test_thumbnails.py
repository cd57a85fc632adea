import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fake_engine import make_recipe
from seatrial.data.images import LabelledImage, PreparedInput
from seatrial.data.thumbnails import make_thumbnail
from seatrial.store.files import hash_content

RECIPE = make_recipe()
BGR = make_recipe(preprocess=[{"step": "channels", "order": "BGR"}, *RECIPE.model_dump(mode="json")["preprocess"]])
RED = (200, 40, 20)


def draw(size: tuple[int, int] = (300, 150)) -> Image.Image:
    return Image.new("RGB", size, RED)


@pytest.fixture
def photo(tmp_path: Path) -> LabelledImage:
    draw().save(tmp_path / "red.png")
    return LabelledImage("red.png", tmp_path / "red.png", 0)


def look(jpeg: bytes) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Size, and the colour in the middle."""
    picture = Image.open(io.BytesIO(jpeg))
    assert picture.format == "JPEG"
    return picture.size, tuple(np.asarray(picture)[picture.height // 2, picture.width // 2].tolist())


def assert_red(jpeg: bytes, size: tuple[int, int]) -> None:
    found, colour = look(jpeg)
    assert found == size and np.abs(np.subtract(colour, RED)).max() <= 8


def test_the_longest_side_has_96_pixels_and_a_small_image_keeps_its_own(photo: LabelledImage, tmp_path: Path) -> None:
    assert_red(make_thumbnail(photo, RECIPE), (96, 48))
    draw((8, 20)).save(tmp_path / "small.png")
    assert_red(make_thumbnail(LabelledImage("small.png", tmp_path / "small.png", 0), RECIPE), (8, 20))


def test_a_member_of_an_archive_is_read_in_its_place(photo: LabelledImage, tmp_path: Path) -> None:
    data = photo.path.read_bytes()
    (tmp_path / "all.tar").write_bytes(bytes(512) + data + bytes(512))
    member = replace(photo, path=tmp_path / "all.tar", span=(512, len(data)))
    assert_red(make_thumbnail(member, RECIPE, hash_content(data)), (96, 48))


@pytest.mark.parametrize("recipe", [RECIPE, BGR], ids=["RGB", "BGR"])
def test_what_was_preprocessed_becomes_a_picture_again(recipe: object, tmp_path: Path) -> None:
    pixels = np.asarray(draw((6, 4)))
    pixels = pixels if recipe is RECIPE else pixels[..., ::-1]
    mean, std = (np.array(values, np.float32) for values in RECIPE.normalisation)
    floats = ((pixels / 255 - mean) / std).astype(np.float32).transpose(2, 0, 1)
    for name, data, form in (
        ("pixels", pixels.tobytes(), PreparedInput.pixels((4, 6))),
        ("floats", floats.tobytes(), PreparedInput.floats((4, 6))),
    ):
        (tmp_path / name).write_bytes(data)
        image = LabelledImage(name, tmp_path / name, 0, prepared=form)
        assert_red(make_thumbnail(image, BGR if recipe is BGR else RECIPE, content=5), (6, 4))


def test_one_channel_of_the_cards_is_grey(tmp_path: Path) -> None:
    steps = [
        {"step": "channels", "order": "L"},
        {"step": "center_crop", "size": [4, 6]},
        {"step": "to_float"},
        {"step": "normalise", "mean": [0.5], "std": [0.25]},
    ]
    grey = make_recipe(preprocess=steps)
    floats = np.full((1, 4, 6), (90 / 255 - 0.5) / 0.25, np.float32)
    for name, data, form in (
        ("pixels", bytes([90] * 24), PreparedInput.pixels((4, 6), channels=1)),
        ("floats", floats.tobytes(), PreparedInput.floats((4, 6), channels=1)),
    ):
        (tmp_path / name).write_bytes(data)
        jpeg = make_thumbnail(LabelledImage(name, tmp_path / name, 0, prepared=form), grey)
        picture = np.asarray(Image.open(io.BytesIO(jpeg)))
        assert picture.shape == (4, 6) and np.abs(picture.astype(int) - 90).max() <= 2


def test_what_cannot_be_shown_has_no_picture(photo: LabelledImage, tmp_path: Path) -> None:
    (tmp_path / "yuv").write_bytes(bytes(36))
    yuv = LabelledImage("yuv", tmp_path / "yuv", 0, prepared=PreparedInput("uint8", (6, 6, 1), None))
    assert make_thumbnail(yuv, RECIPE) == b""
    assert make_thumbnail(replace(photo, path=tmp_path / "gone.png"), RECIPE) == b""
    content = hash_content(photo.path.read_bytes())
    assert make_thumbnail(photo, RECIPE, content) != b""
    assert make_thumbnail(photo, RECIPE, content + 1) == b""
    photo.path.write_bytes(photo.path.read_bytes()[:60])
    assert make_thumbnail(photo, RECIPE) == b""
