"""Bins as images that were preprocessed before: ours say what they are, others are judged by their size."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seatrial.data.bins.write import BinForm, write_bins
from seatrial.data.images import LabelledImage, PreparedInput
from seatrial.data.preprocessing.steps import hash_steps
from seatrial.data.preprocessing.yuv import PixelFormat
from seatrial.data.sources import read_images
from seatrial.errors import DataError
from seatrial.recipes.schema import Mode

PIXELS = Mode.read({"preprocess": [{"step": "resize", "size": [4, 6]}]}, "test")
FLOATS = Mode.read({"preprocess": [{"step": "resize", "size": [4, 6]}, {"step": "to_float"}]}, "test")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images in `val`, the n-th all of value n, their label file, and this as the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "val").mkdir()
    for index in range(3):
        Image.new("RGB", (6, 4), (index,) * 3).save(tmp_path / "val" / f"val_{index}.png")
    (tmp_path / "labels.txt").write_text("".join(f"val_{i}.JPEG {i}\n" for i in (2, 0, 1)))
    return tmp_path


def write(mode: Mode, pixels: PixelFormat = "rgb") -> None:
    write_bins(BinForm(mode, pixels), sorted(Path("val").iterdir()), Path("bins"), 1)


def write_foreign(size_bytes: int, count: int = 3) -> None:
    Path("bins").mkdir(exist_ok=True)
    for index in range(count):
        (Path("bins") / f"val_{index}.bin").write_bytes(bytes(size_bytes))


def read(expected: PreparedInput | None = None, source: str = "bins") -> tuple[LabelledImage, ...]:
    return read_images(source, Path("labels.txt"), 3, expected=expected).images


def refuse(told: str, expected: PreparedInput | None = None, source: str = "bins") -> None:
    with pytest.raises(DataError) as caught:
        read(expected, source)
    assert re.search(told, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("mode", "pixels", "dtype", "shape"),
    [
        (PIXELS, "rgb", "uint8", (4, 6, 3)),
        (FLOATS, "rgb", "float32", (3, 4, 6)),
        (PIXELS, "yuv420sp", "uint8", (6, 6, 1)),
    ],
)
def test_our_bins_say_what_they_are(
    mode: Mode, pixels: PixelFormat, dtype: str, shape: tuple[int, int, int], here: Path
) -> None:
    write(mode, pixels)
    images = read()
    assert [(image.id, image.label) for image in images] == [(f"val_{i}.JPEG", i) for i in range(3)]
    form = images[1].prepared
    assert form is not None and (form.dtype, form.shape) == (dtype, shape)
    if pixels == "rgb":
        assert form.preprocess_hash == hash_steps(mode.preprocess)
        row = np.empty(shape, dtype=dtype)
        images[1].read_into(row)
        assert (row == (1 if dtype == "uint8" else np.float32(1) / 255)).all()


def test_bins_are_matched_up_to_the_first_dot(here: Path) -> None:
    write_foreign(72)
    Path("bins/val_0.bin").rename("bins/val_0.png.bin")
    Path("bins/val_1.bin").rename("bins/val_1.BIN")
    Path("bins/.val_9.bin.part").write_bytes(b"")
    assert [image.path.name for image in read(PreparedInput("uint8", (4, 6, 3), None))] == [
        "val_0.png.bin", "val_1.BIN", "val_2.bin",
    ]  # fmt: skip


UINT8, FLOAT32 = PreparedInput("uint8", (4, 6, 3), "aaaa"), PreparedInput("float32", (3, 4, 6), "bbbb")


@pytest.mark.parametrize(
    ("size_bytes", "expected", "found"),
    [
        (72, UINT8, ("uint8", (4, 6, 3))),
        (288, UINT8, ("float32", (3, 4, 6))),
        (72, FLOAT32, ("uint8", (4, 6, 3))),
        (288, FLOAT32, ("float32", (3, 4, 6))),
        (36, PreparedInput("uint8", (6, 6, 1), "cccc"), ("uint8", (6, 6, 1))),
        (147, None, ("uint8", (7, 7, 3))),
        (75, None, ("uint8", (5, 5, 3))),
    ],
)
def test_foreign_bins_are_judged_by_their_size(
    size_bytes: int, expected: PreparedInput | None, found: tuple[str, tuple[int, ...]], here: Path
) -> None:
    write_foreign(size_bytes)
    notes: list[str] = []
    listing = read_images("bins", Path("labels.txt"), 3, False, expected, lambda update: notes.append(update.note))
    assert {image.prepared for image in listing.images} == {PreparedInput(*found, None)}  # type: ignore[arg-type]
    shape = "×".join(map(str, found[1]))
    assert notes == [
        f"bins has no bins.json that says how its bins were preprocessed: by their size they are {found[0]} {shape}"
    ]


@pytest.mark.parametrize(
    ("size_bytes", "expected", "told"),
    [
        (73, UINT8, "have 73 bytes each: neither uint8 4×6×3 nor float32 3×4×6;"),
        (
            73,
            None,
            "have 73 bytes each: neither uint8 4×4×3 nor float32 3×2×2; `seatrial preprocess` writes a bins.json",
        ),
        (602112, None, "have 602112 bytes each: uint8 448×448×3 or float32 3×224×224;"),
        (0, None, "have 0 bytes each"),
    ],
)
def test_bins_that_could_be_anything_are_refused(
    size_bytes: int, expected: PreparedInput | None, told: str, here: Path
) -> None:
    write_foreign(size_bytes)
    refuse(told, expected)


def test_a_bin_of_another_size_is_named(here: Path) -> None:
    write(FLOATS)
    Path("bins/val_1.bin").write_bytes(b"cut off")
    refuse(r"of 3 bins, 1 do not have 288 bytes \('bins/val_1\.bin'\); remove them and run `seatrial preprocess` again")
    Path("bins/bins.json").unlink()
    refuse(r"of 3 bins, 1 do not have 288 bytes \('bins/val_1\.bin'\)", FLOAT32)


def test_names_that_do_not_agree_are_refused(here: Path) -> None:
    write_foreign(72, 4)
    refuse(r"0 labelled but not there, 1 there but not labelled \('val_3\.bin'\)", UINT8)
    Path("bins/val_3.bin").unlink()
    Path("bins/val_1.bin").unlink()
    refuse(r"1 labelled but not there \('val_1\.JPEG'\), 0 there", UINT8)
    assert read_images("bins", Path("labels.txt"), 3, True, UINT8).missing == ("val_1.JPEG",)
    Path("bins/val_2.x.bin").write_bytes(bytes(72))
    refuse(r"bins/val_2(\.x)?\.bin and bins/val_2(\.x)?\.bin both belong to 'val_2\.JPEG'", UINT8)
    Path("labels.txt").write_text("val_1.JPEG 0\nval_1.png 0\n")
    refuse(r"'val_1\.JPEG' and 'val_1\.png' of the label file would have bins of one name", UINT8)


def test_bins_need_a_label_file(here: Path) -> None:
    write(PIXELS)
    with pytest.raises(DataError, match=r"bins is a folder of bins, which has no classes; give --labels FILE"):
        read_images("bins", None, 3)


def test_an_info_file_says_the_size_of_bins(here: Path) -> None:
    write_foreign(288)
    Path("all.info").write_text("".join(f"{i} bins/val_{i}.bin 6 4\n" for i in range(3)))
    images = read(source="all.info")
    assert [(image.id, image.prepared) for image in images] == [
        (f"val_{i}.JPEG", PreparedInput("float32", (3, 4, 6), None)) for i in range(3)
    ]
    Path("all.info").write_text("".join(f"{i} bins/val_{i}.bin 6 {4 + i}\n" for i in range(3)))
    refuse(r"all\.info names bins of 3 sizes", source="all.info")
    Path("all.info").write_text("".join(f"{i} bins/val_{i}.bin 4 6\n" for i in range(3)))
    for path in Path("bins").iterdir():
        path.unlink()
    write(PIXELS)
    refuse(r"all\.info says height×width 6×4, and its bins are uint8 4×6×3; `seatrial preprocess", source="all.info")


def test_a_list_may_name_bins(here: Path) -> None:
    write(PIXELS)
    Path("all.txt").write_text("".join(f"bins/val_{i}.bin {i}\n" for i in range(3)))
    images = read_images("all.txt", None, 3).images
    assert [(image.id, image.label) for image in images] == [(f"bins/val_{i}.bin", i) for i in range(3)]
    assert {image.prepared for image in images} == {PreparedInput("uint8", (4, 6, 3), hash_steps(PIXELS.preprocess))}


def test_bins_of_two_preprocessings_are_refused(here: Path) -> None:
    write(PIXELS)
    write_bins(BinForm(FLOATS), sorted(Path("val").iterdir()), Path("floats"), 1)
    Path("all.txt").write_text("bins/val_0.bin 0\nfloats/val_1.bin 1\n")
    with pytest.raises(DataError, match=r"the bins of all\.txt are of 2 preprocessings"):
        read_images("all.txt", None, 3)
