import io
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from seatrial.data.preprocessing.damage import UNCHECKED
from seatrial.data.preprocessing.decode import decode_image, read_image
from seatrial.errors import DataError


def draw(width: int, height: int) -> Image.Image:
    """A smooth picture with some noise."""
    rng = np.random.default_rng([width, height])
    coarse = Image.fromarray(rng.integers(0, 256, (3, 3, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int64)
    return Image.fromarray((smooth + rng.integers(-9, 9, smooth.shape)).clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decode_with_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def pixels(data: bytes) -> np.ndarray:
    image = decode_image(data, "x.JPEG")
    assert image.mode == "RGB"
    return np.asarray(image)


SIZES = [(1, 1), (2, 3), (8, 8), (17, 15), (33, 64), (100, 3), (129, 97)]


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411", "Gray"])
def test_plain_jpegs_have_pillows_pixels(subsampling: str) -> None:
    for width, height in SIZES:
        for quality in (30, 92):
            image = np.asarray(draw(width, height))
            grey = subsampling == "Gray"
            data = simplejpeg.encode_jpeg(
                image[:, :, :1].copy() if grey else image,
                quality=quality,
                colorspace="GRAY" if grey else "RGB",
                colorsubsampling=subsampling,
            )
            np.testing.assert_array_equal(pixels(data), decode_with_pillow(data))


JPEG = encode(draw(40, 30), "JPEG", quality=90)


@pytest.mark.parametrize(
    "data",
    [
        encode(draw(40, 30), "JPEG", progressive=True),
        encode(draw(40, 30).convert("L"), "JPEG", progressive=True, optimize=True),
        encode(draw(40, 30).convert("CMYK"), "JPEG"),
        encode(draw(40, 30).convert("CMYK"), "JPEG", progressive=True),
        encode(draw(40, 30), "JPEG", keep_rgb=True),
        encode(draw(40, 30), "JPEG", exif=Image.Exif()),
        encode(draw(40, 30), "JPEG", restart_marker_blocks=1),
        encode(draw(40, 30), "MPO", save_all=True, append_images=[draw(41, 31)]),
        JPEG + b"padding",
        JPEG + bytes(2000),
    ],
    ids=["progressive", "grey", "cmyk", "cmyk2", "rgb", "exif", "restarts", "mpo", "padded", "much padded"],
)
def test_odd_jpegs_have_pillows_pixels_too(data: bytes) -> None:
    np.testing.assert_array_equal(pixels(data), decode_with_pillow(data))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF"])
def test_other_formats_are_read_whatever_they_are_called(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "ILSVRC2012_val_00000001.JPEG"
    path.write_bytes(encode(draw(40, 30), kind))
    np.testing.assert_array_equal(np.asarray(read_image(path)), decode_with_pillow(path.read_bytes()))


def test_orientation_is_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to look at
    assert decode_image(encode(draw(40, 30), "JPEG", exif=exif), "x").size == (40, 30)


def test_alpha_is_dropped_not_blended() -> None:
    rgba = draw(8, 8).convert("RGBA")
    rgba.putalpha(0)
    np.testing.assert_array_equal(pixels(encode(rgba, "PNG")), np.asarray(draw(8, 8)))


def test_palettes_give_their_colours() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    expected = [[[10, 20, 30], [40, 50, 60]]]
    assert pixels(encode(image, "PNG")).tolist() == expected
    assert pixels(encode(image, "PNG", transparency=b"\x80\xff")).tolist() == expected
    assert pixels(encode(image, "GIF", transparency=0)).tolist() == expected


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_not_cut_off(kind: str) -> None:
    grey = np.array([[0, 256, 257, 25700, 65278, 65535]], dtype=np.uint16)
    found = pixels(encode(Image.fromarray(grey), kind))
    assert found[:, :, 0].tolist() == [[0, 0, 1, 100, 254, 255]]
    assert (found == found[:, :, :1]).all()


def make_tiff(samples: np.ndarray, **tags: int) -> bytes:
    """An uncompressed TIFF of grey samples, whatever their type; `tags` beside those that every one has."""
    height, width = samples.shape
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    fields = {256: width, 257: height, 258: 8 * samples.itemsize, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    fields |= {279: samples.nbytes, 339: kind} | {int(tag[1:]): value for tag, value in tags.items()}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(fields.items()))
    start = 8 + samples.nbytes
    return struct.pack("<2sHI", b"II", 42, start) + samples.tobytes() + struct.pack("<H", len(fields)) + entries + END


END = bytes(4)
GREY = np.arange(48).reshape(6, 8)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (make_tiff((GREY / 47).astype(np.float32)), "floating-point samples"),
        (make_tiff((GREY * 5).astype(np.float32)), "floating-point samples"),
        (make_tiff((GREY * 5).astype(np.int32)), "signed samples of 32 bits"),
        (make_tiff((GREY * 90_000_000).astype(np.uint32)), "samples of 32 bits"),
        (make_tiff((GREY * 300).astype(np.int16)), "signed samples of 16 bits"),
        (make_tiff((GREY - 24).astype(np.int8)), "signed samples of 8 bits"),
        (make_tiff((GREY * 300).astype(np.uint16), t262=0), "samples of 16 bits whose 0 is white"),
        (make_tiff((GREY * 5).astype(np.uint8), t258=12, t256=4), "samples of 12 bits"),
        (encode(Image.fromarray((GREY / 47).astype(np.float32)), "PPM"), "floating-point samples"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_samples_without_a_rule_are_refused(data: bytes, told: str) -> None:
    """Pillow and a division by 257 make black of most of them, white of others."""
    with pytest.raises(DataError, match=rf"^image x is refused: it has {told}; convert it to 8 or 16 unsigned bits"):
        decode_image(data, "x")


def test_samples_with_a_rule_are_kept() -> None:
    scaled = (GREY * 5).astype(np.uint8)
    for data in (make_tiff(scaled), make_tiff((GREY * 5 * 257).astype(np.uint16)), make_tiff(255 - scaled, t262=0)):
        np.testing.assert_array_equal(pixels(data)[:, :, 0], scaled)


MODES = {
    "1": ("PNG", "TIFF", "BMP", "PPM"),
    "L": ("PNG", "TIFF", "BMP", "PPM", "JPEG", "GIF"),
    "LA": ("PNG", "TIFF"),
    "P": ("PNG", "TIFF", "BMP", "GIF"),
    "PA": ("TIFF",),
    "RGB": ("PNG", "TIFF", "BMP", "PPM", "WEBP"),
    "RGBA": ("PNG", "TIFF", "BMP"),
    "RGBX": ("TIFF",),
    "CMYK": ("TIFF", "JPEG"),
    "YCbCr": ("TIFF",),
}


@pytest.mark.parametrize(("mode", "kind"), [(mode, kind) for mode, kinds in MODES.items() for kind in kinds])
def test_every_mode_keeps_its_picture(mode: str, kind: str) -> None:
    image = draw(40, 30).convert("P").convert("PA") if mode == "PA" else draw(40, 30).convert(mode)
    found = pixels(encode(image, kind, **({"lossless": True} if kind == "WEBP" else {})))
    expected = np.asarray(image.convert("RGB")).astype(np.int64)
    assert np.abs(found - expected).max() <= (0 if kind not in ("JPEG", "GIF") else 40)
    assert found.std() > 10


def test_black_and_white_is_0_and_255() -> None:
    assert pixels(encode(Image.fromarray(np.array([[True, False]])), "PNG"))[0].tolist() == [[255] * 3, [0] * 3]


def set_size(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header claims another size."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + height.to_bytes(2) + width.to_bytes(2) + data[at + 4 :]


PNG = encode(draw(40, 30), "PNG")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", r"a\.JPEG is no image \(the file is empty\); mend or remove it, and run again$"),
        (b"  <!DOCTYPE html><html>404</html>", r"a\.JPEG is no image \(it holds a web page or XML\)"),
        (b"version https://git-lfs", r"a\.JPEG is no image \(23 bytes that begin with 76 65 72 73\)"),
        (b"\xff\xd8\xff", r"a\.JPEG is "),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", r"a\.JPEG is no image \(47 bytes that begin"),
        (JPEG[:300], r"image a\.JPEG is damaged \("),
        (JPEG[:-99] + b"\xff\xd9", r"image a\.JPEG is damaged \(Corrupt JPEG data: premature end of data segment\)"),
        (JPEG[:-99], r"image a\.JPEG is damaged \(Premature end of JPEG file\)"),
        (JPEG[:-2], r"image a\.JPEG is damaged \(Premature end of JPEG file\)"),
        (encode(draw(40, 30), "JPEG", progressive=True)[:-40], r"image a\.JPEG is damaged \(Premature end"),
        (PNG[: len(PNG) // 2], r"image a\.JPEG is damaged \("),
        (PNG[:40], r"a\.JPEG is no image \(40 bytes that begin with 89 50 4e 47\)"),
        (
            set_size(JPEG, 65500, 65500),
            r"image a\.JPEG is refused \(it has 4,290,250,000 pixels; 89,478,485 are",
        ),
        (
            set_size(JPEG, 10000, 10000),
            r"image a\.JPEG is refused \(it has 100,000,000 pixels; 89,478,485 are",
        ),
    ],
)
def test_what_is_no_whole_image_is_refused_by_name(data: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "a.JPEG"
    path.write_bytes(data)
    with pytest.raises(DataError, match=told.replace(r"a\.JPEG", r"\S+/a\.JPEG")):
        read_image(path)


def test_a_decompression_bomb_is_refused_before_its_pixels_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 30)
    for kind in ("JPEG", "PNG", "WEBP", "GIF"):
        decode_image(encode(draw(40, 30), kind), "x")
        with pytest.raises(DataError, match="image x is refused"):
            decode_image(encode(draw(41, 30), kind), "x")


def test_threads_do_not_disturb_each_others_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 30)
    before = list(warnings.filters)
    bomb, good = encode(draw(41, 30), "PNG"), encode(draw(8, 8), "PNG")

    def attempt(index: int) -> bool:
        try:
            decode_image(bomb if index % 2 else good, "x")
        except DataError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(attempt, range(400))) == [index % 2 == 0 for index in range(400)]
    assert list(warnings.filters) == before


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image \S+/none\.png cannot be read \(No such file or directory\)"):
        read_image(tmp_path / "none.png")
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        read_image(tmp_path)


def test_damaged_bytes_raise_nothing_but_data_errors() -> None:
    rng = np.random.default_rng(11)
    seeds = [JPEG, PNG, *(encode(draw(20, 16), kind) for kind in ("WEBP", "BMP", "PPM", "GIF"))]
    seeds.append(encode(draw(20, 16).convert("P"), "PNG"))
    refused = 0
    for turn in range(600):
        spoiled = bytearray(seeds[turn % len(seeds)])
        for _ in range(3):
            spoiled[rng.integers(min(len(spoiled), 400))] = rng.integers(256)
        try:
            decode_image(bytes(spoiled), "x")
        except DataError:
            refused += 1
    assert 100 < refused < 600


def test_what_pillow_warns_of_is_noted_or_a_warning_that_names_the_image() -> None:
    """An EXIF that is cut off is nothing to the pixels; Python would show such a warning once, for all images."""
    cmyk = encode(draw(40, 30).convert("CMYK"), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0")
    notes: list[str] = []
    assert decode_image(cmyk, "x.jpg", notes).size == (40, 30)
    assert [note.partition("(")[0] for note in notes] == ["what Pillow warns of "]
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"^image x\.jpg: Corrupt EXIF data"):
            decode_image(cmyk, "x.jpg")


def test_a_tiff_whose_tags_are_cut_off_is_damaged() -> None:
    """Pillow only warns of it, and then has no strips, or those that were there before."""
    data = encode(draw(40, 30), "TIFF", compression="tiff_lzw")
    at = data.index(struct.pack("<HHI", 279, 4, 1)) + 4
    with pytest.raises(DataError, match=r"^image x is damaged \(Tag data larger than file"):
        decode_image(data[:at] + b"\xff\xff\xff\x7f" + data[at + 4 :], "x")


def test_a_jpeg_in_a_tiff_is_noted_as_not_checked() -> None:
    notes: list[str] = []
    decode_image(encode(draw(40, 30), "TIFF", compression="jpeg"), "x", notes)
    assert notes == [UNCHECKED]


def test_warnings_of_other_code_stay_theirs() -> None:
    """For the time of opening an image its filters are those of every thread."""

    def open_and_warn(*_: object, **__: object) -> Image.Image:
        warnings.warn_explicit("mine", UserWarning, "other.py", 1)
        return draw(8, 8)

    with pytest.MonkeyPatch.context() as patch, pytest.warns(UserWarning, match="^mine$"):
        patch.setattr(Image, "open", open_and_warn)
        decode_image(PNG, "x", [])
