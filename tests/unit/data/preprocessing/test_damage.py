"""Damage that libjpeg and Pillow paint over is refused, and what no pixel is made of is not taken for damage."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.preprocessing.damage import SURPLUS, UNCHECKED
from seatrial.data.preprocessing.decode import decode_image
from seatrial.data.preprocessing.yuv import decode_ycbcr
from seatrial.errors import DataError

GOLDEN = Path(__file__).parents[3] / "golden"
PHOTO = (GOLDEN / "preprocess" / "images" / "ILSVRC2012_val_00000001.JPEG").read_bytes()
FLIPS = json.loads((GOLDEN / "damage" / "flips.json").read_text())
"""By golden file [bit, whether Pillow's pixels changed, whether djpeg -memsrc warned]: `benchmarks/jpeg_damage.py`."""
END = b"\xff\xd9"
LEFT_OVER = r"Corrupt JPEG data: \d+ extraneous bytes before marker 0xd9"


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def make_photo(width: int = 160, height: int = 120) -> Image.Image:
    return Image.open(io.BytesIO(PHOTO)).convert("RGB").resize((width, height))


def decode_with_pillow(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def flip(data: bytes, bit: int) -> bytes:
    spoiled = bytearray(data)
    spoiled[bit >> 3] ^= 1 << (bit & 7)
    return bytes(spoiled)


def before_end(data: bytes, surplus: bytes) -> bytes:
    """The file with something between its last block and its end marker."""
    at = data.rindex(END)
    return data[:at] + surplus + data[at:]


def refuse(data: bytes, told: str = "") -> None:
    with pytest.raises(DataError, match=rf"^image x is damaged \({told}"):
        decode_image(data, "x")


def accept(data: bytes) -> list[str]:
    """What is noted of a file that is as sound as Pillow takes it for."""
    notes: list[str] = []
    np.testing.assert_array_equal(np.asarray(decode_image(data, "x", notes)), decode_with_pillow(data))
    return notes


@pytest.mark.parametrize("name", FLIPS)
def test_no_flip_that_djpeg_warns_of_and_that_changes_pixels_is_missed(name: str) -> None:
    sound = (GOLDEN / "preprocess" / "images" / name).read_bytes()
    accept(sound)
    warned = 0
    for bit, changed, djpeg in FLIPS[name]:
        if changed and djpeg:
            with pytest.raises(DataError, match=r"^(image )?x is "):
                decode_image(flip(sound, bit), "x")
            warned += 1
        elif not djpeg:
            accept(flip(sound, bit))
    assert warned >= 15


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 2}, {"optimize": True}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("end", [b"", END])
def test_a_third_of_a_file_filled_up_with_zeros_is_damaged(mode: str, options: dict[str, object], end: bytes) -> None:
    for quality in (50, 75, 90, 98):
        data = encode(make_photo().convert(mode), quality=quality, **options)
        third = data[: len(data) // 3]
        refuse(third + bytes(len(data) - len(third) - len(end)) + end)
        refuse(third + end)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 2}, {"subsampling": 0}])
@pytest.mark.parametrize("count", [20, 5000])
def test_zeros_before_the_end_are_noted_and_change_nothing(options: dict[str, object], count: int) -> None:
    data = encode(make_photo(), quality=90, **options)
    padded = before_end(data, bytes(count))
    assert accept(data) == []
    assert accept(padded) == [SURPLUS]
    np.testing.assert_array_equal(np.asarray(decode_image(padded, "x")), decode_with_pillow(data))


def test_zeros_before_the_end_hide_no_damage() -> None:
    data = encode(make_photo(), quality=90)
    padded = before_end(data, bytes(500))
    for bit in range(8 * (len(data) // 2), 8 * (len(data) // 2) + 400):
        try:
            decode_image(flip(data, bit), "x")
        except DataError:
            refuse(flip(padded, bit))
        else:
            decode_image(flip(padded, bit), "x")


@pytest.mark.parametrize("data", [before_end(PHOTO, b"\x12\x34" * 20), before_end(PHOTO, b"\0\1" * 20)])
def test_other_bytes_left_over_are_what_a_decoder_leaves_that_lost_its_place(data: bytes) -> None:
    refuse(data, LEFT_OVER)


@pytest.mark.parametrize("trailer", [b"\0" * 3000, b"MPF and the like" * 300, PHOTO, b"\xff\xd9"])
def test_what_follows_the_end_is_no_part_of_the_image(trailer: bytes) -> None:
    assert accept(PHOTO + trailer) == []


def test_fill_bytes_before_a_marker_are_allowed() -> None:
    assert accept(before_end(PHOTO, b"\xff" * 40)) == []


def spoil_jfif(data: bytes) -> bytes:
    at = data.index(b"JFIF\0") + 5
    return data[:at] + b"\0\0" + data[at + 2 :]


def spoil_icc(data: bytes) -> bytes:
    at = data.index(b"ICC_PROFILE\0") + 12
    return data[:at] + b"\7" + data[at + 1 :]


@pytest.mark.parametrize("spoil", [spoil_jfif, spoil_icc])
def test_odd_metadata_is_no_damage_and_hides_none(spoil: object) -> None:
    data = encode(make_photo(), quality=90, icc_profile=b"a profile" * 99)
    odd = spoil(data)  # type: ignore[operator]
    assert accept(odd) == []
    refuse(before_end(odd, b"\x12\x34" * 20), LEFT_OVER)


def test_odd_metadata_between_two_scans_ends() -> None:
    data = encode(make_photo(), progressive=True)
    at = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    refuse(data[:at] + b"\xff\xe0\0\x10JFIF\0\0\0\0\0\1\0\1\0\0" + data[at:], "Warning: unknown JFIF revision")


def test_an_unknown_colour_transform_is_refused() -> None:
    data = encode(make_photo().convert("CMYK"))
    at = data.index(b"Adobe") + 11
    refuse(data[:at] + b"\7" + data[at + 1 :], "Unknown Adobe color transform code 7")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_progressive_file_without_its_last_passes_is_damaged(mode: str) -> None:
    data = encode(make_photo().convert(mode), progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 5
    for at in scans[1:]:
        # libjpeg does not warn: it smooths the blocks instead.
        refuse(data[:at] + END, r"the last passes of \d of \d components are missing")


def make_scan_each() -> list[bytes]:
    """The pieces of a baseline file that has each colour in a scan of its own."""
    red = encode(make_photo().getchannel(0), quality=80)
    start, frame, scan = (red.index(marker) for marker in (b"\xff\xc0", b"\xff\xc4", b"\xff\xda"))
    size = red[start + 5 : start + 9]
    head = red[:start] + b"\xff\xc0\0\x11\x08" + size + b"\3\1\x11\0\2\x11\0\3\x11\0" + red[frame:scan]
    pieces = [head]
    for number in range(3):
        grey = encode(make_photo().getchannel(number), quality=80)
        pieces.append(
            b"\xff\xda\0\x08\1" + bytes([number + 1]) + b"\0\0\x3f\0" + grey[grey.index(b"\xff\xda") + 10 : -2]
        )
    return pieces


def test_a_colour_that_never_came_is_damage() -> None:
    pieces = make_scan_each()
    assert accept(b"".join(pieces) + END) == []
    for count in (2, 3):
        refuse(b"".join(pieces[:count]) + END, rf"the last passes of {4 - count} of 3 components are missing")


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [5, 60, 100])
def test_progressive_files_have_pillows_pixels(subsampling: int, quality: int) -> None:
    for size in ((1, 1), (17, 15), (100, 3), (161, 97)):
        assert accept(encode(make_photo(*size), progressive=True, subsampling=subsampling, quality=quality)) == []


def test_what_cannot_be_checked_is_noted() -> None:
    """Chroma of two sizes: TurboJPEG has no name for it."""
    assert accept((GOLDEN / "damage" / "odd_subsampling.jpg").read_bytes()) == [UNCHECKED]


def test_a_header_that_ends_anywhere_raises_nothing_else() -> None:
    for data in ((GOLDEN / "damage" / "odd_subsampling.jpg").read_bytes(), encode(make_photo(), progressive=True)):
        for length in range(2, 760):
            with pytest.raises(DataError):
                decode_image(data[: min(length, len(data) - 3)], "x")


def test_planes_of_a_damaged_file_are_refused_too() -> None:
    for options in ({}, {"progressive": True}):
        data = encode(make_photo(), quality=90, **options)
        third = data[: len(data) // 3]
        notes: list[str] = []
        with pytest.raises(DataError, match="image x is damaged"):
            decode_ycbcr(third + bytes(2 * len(third)) + END, "x", notes)
        assert decode_ycbcr(before_end(data, bytes(99)), "x", notes).mode == "YCbCr"
        assert notes == [SURPLUS]


def test_a_png_whose_checksums_do_not_fit_is_damaged() -> None:
    data = encode(make_photo(), "PNG")
    assert accept(data) == []
    for part in (0.5, 0.9):
        # Pillow decodes these zeros, and looks at no checksum of pixels.
        cut = data[: int(part * len(data))]
        refuse(cut + bytes(len(data) - len(cut)), "checksum mismatch of chunk IDAT")
        refuse(cut, "chunk IDAT is cut off")
    at = data.index(b"IDAT")
    rng = np.random.default_rng(0)
    for bit in rng.integers(8 * (at + 4), 8 * (len(data) - 16), 60):
        refuse(flip(data, int(bit)), "checksum mismatch")
    assert accept(encode(make_photo().convert("P"), "PNG") + b"and more") == []
