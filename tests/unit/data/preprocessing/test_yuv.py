"""Images as YUV420SP: closed forms, Pillow's own planes, and which of U and V comes first."""

import io
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.preprocessing.steps import apply_pixel_steps
from seatrial.data.preprocessing.yuv import decode_ycbcr, pack_yuv420sp, unpack_yuv420sp
from seatrial.errors import DataError
from seatrial.recipes.steps import CenterCrop, Resize
from yuv_pictures import to_yuv420sp

PHOTOGRAPHS = Path(sklearn.datasets.__file__).parent / "images"


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def paint() -> Image.Image:
    """A smooth picture, 64×48."""
    y, x = np.mgrid[0:48, 0:64]
    return Image.fromarray(np.stack([x * 4, y * 5, 255 - x * 3], axis=2).astype(np.uint8))


def planes(image: Image.Image) -> NDArray[np.int16]:
    return np.asarray(image).astype(np.int16)


def test_layout_of_nv12_and_nv21() -> None:
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[..., 0] = np.arange(24).reshape(4, 6)
    pixels[..., 1], pixels[..., 2] = 100, 200
    pixels[2:, 4:, 1], pixels[2:, 4:, 2] = 101, 201
    nv12, nv21 = pack_yuv420sp(pixels), pack_yuv420sp(pixels, nv21=True)
    assert (nv12.dtype, nv12.shape) == (np.uint8, (6, 6))
    np.testing.assert_array_equal(nv12[:4], pixels[..., 0])
    assert nv12[4:].tolist() == [[100, 200] * 3, [100, 200, 100, 200, 101, 201]]
    assert nv21[4:].tolist() == [[200, 100] * 3, [200, 100, 200, 100, 201, 101]]


@pytest.mark.parametrize(("four", "mean"), [((0, 0, 0, 1), 0), ((0, 0, 1, 1), 1), ((255, 255, 255, 254), 255)])
def test_colours_are_the_mean_rounded_half_up(four: tuple[int, ...], mean: int) -> None:
    pixels = np.zeros((2, 2, 3), dtype=np.uint8)
    pixels[..., 1] = np.reshape(four, (2, 2))
    assert pack_yuv420sp(pixels).tolist()[2] == [mean, 0]


def test_unpacking_gives_each_colour_to_its_four_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    pixels[..., 1:] = pixels[::2, ::2, 1:].repeat(2, axis=0).repeat(2, axis=1)
    batch = np.stack([pack_yuv420sp(pixels), pack_yuv420sp(pixels, nv21=True)])[..., None]
    np.testing.assert_array_equal(unpack_yuv420sp(batch), [pixels, pixels[..., [0, 2, 1]]])


@pytest.mark.parametrize(
    ("colour", "yuv"), [("red", (76, 85, 255)), ("blue", (29, 255, 107)), ("white", (255, 128, 128))]
)
def test_pure_colours(colour: str, yuv: tuple[int, int, int]) -> None:
    """BT.601 at full range; Pillow cuts fractions off."""
    packed = to_yuv420sp(Image.new("RGB", (4, 2), colour)).astype(np.int16)
    np.testing.assert_allclose(packed, [[yuv[0]] * 4] * 2 + [[yuv[1], yuv[2]] * 2], atol=1)


def test_jpeg_planes_are_taken_as_they_are_stored() -> None:
    data = encode(paint(), quality=60)
    with Image.open(io.BytesIO(data)) as raw:
        raw.draft("YCbCr", None)
        stored = planes(raw)
    through_rgb = planes(Image.open(io.BytesIO(data)).convert("YCbCr"))
    decoded = decode_ycbcr(data, "x.jpg")
    assert decoded.mode == "YCbCr"
    np.testing.assert_array_equal(planes(decoded), stored)
    assert (stored != through_rgb).any()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_other_images_go_through_rgb(mode: str) -> None:
    data = encode(paint().convert(mode), "JPEG", keep_rgb=True) if mode == "RGB" else encode(paint().convert(mode))
    wanted = Image.open(io.BytesIO(data)).convert("RGB").convert("YCbCr")
    np.testing.assert_array_equal(planes(decode_ycbcr(data, "x.jpg")), planes(wanted))
    png = encode(paint(), "PNG")
    np.testing.assert_array_equal(planes(decode_ycbcr(png, "x.png")), planes(paint().convert("YCbCr")))


def test_a_damaged_jpeg_is_named() -> None:
    with pytest.raises(DataError, match=r"image x\.jpg is damaged"):
        decode_ycbcr(encode(paint())[:-200], "x.jpg")
    with pytest.raises(DataError, match=r"x\.txt is no image"):
        decode_ycbcr(b"no image", "x.txt")


def test_resize_is_pillows_on_the_planes() -> None:
    data = (PHOTOGRAPHS / "china.jpg").read_bytes()
    image = decode_ycbcr(data, "china.jpg")
    resized = np.asarray(image.resize((256, 128), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(to_yuv420sp(data, (128, 256), nv21=True), pack_yuv420sp(resized, nv21=True))


def test_the_steps_of_a_card_run_on_the_planes() -> None:
    steps = (Resize(step="resize", short_side=32), CenterCrop(step="center_crop", size=(48, 48)))
    pixels = apply_pixel_steps(paint().convert("YCbCr"), steps)
    assert pixels.shape == (48, 48, 3)
    # 32×42 in the middle of 48×48: what is put around it is black, not the green of three zeros.
    assert pixels[0].tolist() == [[0, 128, 128]] * 48
    rgb = Image.fromarray(pixels, "YCbCr").convert("RGB")
    np.testing.assert_allclose(planes(rgb), apply_pixel_steps(paint(), steps), atol=4)
