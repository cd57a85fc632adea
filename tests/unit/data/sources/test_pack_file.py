"""A pack holds the pixels of a labelled set to the bit, and knows when a bit of it is another."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import class_cards
from fake_engine import make_recipe
from full_disk import limited_files
from seatrial.data.calibration import check_apart, hash_contents
from seatrial.data.images import ImageListing, LabelledImage, hash_listing
from seatrial.data.loading.batches import fill_row, load_batch
from seatrial.data.preprocessing.aipp import Aipp
from seatrial.data.preprocessing.check_prepared import check_prepared, describe_input
from seatrial.data.preprocessing.input_pipeline import InputPipeline, make_pipeline
from seatrial.data.sources import pack_file as pack
from seatrial.data.sources import read_images
from seatrial.data.sources.pack_file import PAGE, PackReport, write_pack
from seatrial.errors import DataError, RefusedFile, StorageError, UsageError
from seatrial.progress import Update

COUNT = 35
PIPELINE = make_pipeline(make_recipe())
SIZE = 4 * 6 * 3


@pytest.fixture
def images(tmp_path: Path) -> tuple[LabelledImage, ...]:
    """PNG files of noise, 4×6, of four classes."""
    folder = tmp_path / "val"
    folder.mkdir()
    for index in range(COUNT):
        noise = np.random.default_rng(index).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{index:02d}.png")
    (tmp_path / "labels.txt").write_text("".join(f"{index:02d}.png {index % 4}\n" for index in range(COUNT)))
    return read_images(folder, tmp_path / "labels.txt", 4).images


def write(
    images: tuple[LabelledImage, ...], output: Path, pipeline: InputPipeline = PIPELINE, decode_workers: int = 2
) -> PackReport:
    return write_pack(ImageListing(images), pipeline, output, decode_workers)


def read(path: Path) -> tuple[LabelledImage, ...]:
    return read_images(path, None, 4).images


def fill(images: tuple[LabelledImage, ...], pipeline: InputPipeline = PIPELINE) -> np.ndarray:
    batch = np.empty((len(images), *pipeline.shape), dtype=np.uint8)
    for row, image in zip(batch, images, strict=True):
        fill_row(row, image, pipeline)
    return batch


@pytest.mark.parametrize("decode_workers", [1, 3])
def test_the_pixels_are_those_of_the_images(
    images: tuple[LabelledImage, ...], decode_workers: int, tmp_path: Path
) -> None:
    report = write(images, tmp_path / "val.pack", decode_workers=decode_workers)
    found = read_images(tmp_path / "val.pack", None, 4)
    assert [(image.id, image.label) for image in found.images] == [(image.id, image.label) for image in images]
    np.testing.assert_array_equal(fill(found.images), load_batch([image.path for image in images], PIPELINE))
    assert check_prepared(found.images, PIPELINE, "uint8") == describe_input(PIPELINE, "uint8")
    assert report.size_bytes == (tmp_path / "val.pack").stat().st_size > PAGE + COUNT * SIZE
    assert (found.images[1].span, found.identify()) == ((PAGE + SIZE, SIZE), hash_listing(images))
    assert [image.content for image in found.images] == [
        (image.path.stat().st_size, next(iter(hash_contents([image.path])))) for image in images
    ]


def test_a_pack_may_be_made_of_an_archive_and_be_for_aipp(images: tuple[LabelledImage, ...], tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "val.tar", "w") as archive:
        for image in images:
            archive.add(image.path, f"val/{image.id}")
    config = {"aipp_mode": "static", "input_format": "YUV420SP_U8", "src_image_size_w": 6, "src_image_size_h": 4}
    pipeline = make_pipeline(make_recipe(), Aipp.read(config, "test"))
    inside = read_images(tmp_path / "val.tar", tmp_path / "labels.txt", 4).images
    write(inside, tmp_path / "val.pack", pipeline)
    np.testing.assert_array_equal(
        fill(read(tmp_path / "val.pack"), pipeline), load_batch([i.path for i in images], pipeline)
    )
    with pytest.raises(DataError, match=r"are uint8 6×6×1 .* takes uint8 4×6×3 .*`seatrial data pack"):
        check_prepared(read(tmp_path / "val.pack"), PIPELINE, "uint8")


def test_threads_read_any_image(images: tuple[LabelledImage, ...], tmp_path: Path) -> None:
    write(images, tmp_path / "val.pack")
    packed = read(tmp_path / "val.pack") * 20
    expected = load_batch([image.path for image in images], PIPELINE)
    with ThreadPoolExecutor(8) as pool:
        for index, row in enumerate(pool.map(lambda image: fill((image,))[0], packed)):
            np.testing.assert_array_equal(row, expected[index % COUNT])


def test_what_is_packed_already_is_found(images: tuple[LabelledImage, ...], tmp_path: Path) -> None:
    first = write(images, tmp_path / "val.pack")
    updates: list[Update] = []
    found = write_pack(ImageListing(images), PIPELINE, tmp_path / "val.pack", 1, updates.append)
    assert (found.index, found.wall_s) == (first.index, 0)
    assert [update.note for update in updates if update.note] == [f"already packed: {tmp_path}/val.pack"]
    os.utime(images[3].path, ns=(1, 1))
    assert write(images, tmp_path / "val.pack").wall_s > 0
    other = make_pipeline(make_recipe(preprocess=[{"step": "resize", "size": [4, 6]}, {"step": "to_float"}]))
    assert write(images, tmp_path / "val.pack", other).index.preprocess_hash != first.index.preprocess_hash


def test_progress_counts_images(images: tuple[LabelledImage, ...], tmp_path: Path) -> None:
    updates: list[Update] = []
    write_pack(ImageListing(images), PIPELINE, tmp_path / "val.pack", 2, updates.append)
    assert [(update.done, update.total) for update in updates] == [(done, 35) for done in range(1, 36)]


@pytest.mark.parametrize("image", [0, 17, COUNT - 1])
@pytest.mark.parametrize("at", [0, SIZE // 2, SIZE - 1])
def test_a_flipped_bit_of_pixels_names_the_image(
    images: tuple[LabelledImage, ...], image: int, at: int, tmp_path: Path
) -> None:
    write(images, tmp_path / "val.pack")
    flip(tmp_path / "val.pack", PAGE + image * SIZE + at)
    found = read(tmp_path / "val.pack")
    fill(found[:image] + found[image + 1 :])
    with pytest.raises(
        RefusedFile, match=rf"image {image:02d}\.png in .*val\.pack is damaged: .*; delete .*val\.pack and write"
    ):
        fill(found)
    with pytest.raises(RefusedFile, match=rf"image {image:02d}\.png"):
        found[image].read()


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("at", [8, 12, 15, 16, 23, 24, 40, 55, 56, 100, PAGE - 1, -1, -500, -1500])
def test_a_flipped_bit_elsewhere_is_refused_at_opening(
    images: tuple[LabelledImage, ...], at: int, tmp_path: Path
) -> None:
    write(images, tmp_path / "val.pack")
    flip(tmp_path / "val.pack", at)
    with pytest.raises(RefusedFile, match=r"pack .*val\.pack is (cut off or )?damaged: .*`seatrial data pack RECIPE"):
        read(tmp_path / "val.pack")
    # Such a pack is written anew.
    write(images, tmp_path / "val.pack")
    assert len(fill(read(tmp_path / "val.pack"))) == COUNT


@pytest.mark.parametrize("keep", [8, 100, PAGE, PAGE + 1, PAGE + COUNT * SIZE, -1])
def test_a_pack_that_is_cut_off_is_refused_at_opening(
    images: tuple[LabelledImage, ...], keep: int, tmp_path: Path
) -> None:
    write(images, tmp_path / "val.pack")
    data = (tmp_path / "val.pack").read_bytes()
    for cut in (data[:keep], data + b"\0"):
        (tmp_path / "val.pack").write_bytes(cut)
        with pytest.raises(RefusedFile, match=r"is (cut off or )?damaged"):
            read(tmp_path / "val.pack")


def rewrite(path: Path, **changes: object) -> None:
    """Another index in a pack, its sha256 made right."""
    index = pack.open_pack(path)
    with path.open("r+b") as file:
        file.truncate(PAGE + COUNT * SIZE)
        file.seek(0, os.SEEK_END)
        pack._write_index(file, index.model_copy(update=changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shape": (4, 6, 4)}, "has an index that does not fit its pixels"),
        ({"ids": ("00.png",)}, "has an index that does not fit its pixels"),
        ({"labels": (1, 2)}, "has an index that does not fit its pixels"),
        ({"schema_": "seatrial/pack/2"}, "was written by another version of seatrial"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_a_pack_that_contradicts_itself_is_refused(
    changes: dict[str, object], told: str, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    write(images, tmp_path / "val.pack")
    rewrite(tmp_path / "val.pack", **changes)
    with pytest.raises(RefusedFile, match=rf"pack .*val\.pack {told}; delete it and write it again"):
        read(tmp_path / "val.pack")


def test_labels_beside_a_pack_must_be_its_own(images: tuple[LabelledImage, ...], tmp_path: Path) -> None:
    write(images, tmp_path / "val.pack")
    labels, told = tmp_path / "labels.txt", (tmp_path / "labels.txt").read_text()
    assert read_images(tmp_path / "val.pack", labels, 4).images == read(tmp_path / "val.pack")
    labels.write_text(told.replace("07.png 3", "07.png 2"))
    with pytest.raises(DataError, match=r"1 images have another class in the pack \('07\.png'\)"):
        read_images(tmp_path / "val.pack", labels, 4)
    labels.write_text(told + "99.png 1\n")
    with pytest.raises(DataError, match=r"1 labelled but not there \('99\.png'\)"):
        read_images(tmp_path / "val.pack", labels, 4)
    part = read_images(tmp_path / "val.pack", labels, 4, allow_partial=True)
    assert (len(part.images), part.missing) == (COUNT, ("99.png",))
    with pytest.raises(DataError, match=r"val\.pack has class 3 \(8 images\), the network has classes 0\.\.2"):
        read_images(tmp_path / "val.pack", None, 3)


def test_a_pack_for_the_same_classes_in_another_order_is_refused(
    images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    count = 1 + max(image.label for image in images)
    names = [f"class {number}" for number in range(count)]
    own, other, in_words = (
        class_cards.make_recipe(each, count) for each in (names, names[::-1], [f"the {name}" for name in names])
    )
    path = tmp_path / "named.pack"
    write_pack(ImageListing(images), make_pipeline(own), path, 1)
    assert read_images(path, None, own).images == read_images(path, None, in_words).images
    with pytest.raises(DataError, match=rf"class 0 is 'class 0' in it, and 'class {count - 1}' of the card"):
        read_images(path, None, other)
    assert write_pack(ImageListing(images), make_pipeline(in_words), path, 1).wall_s == 0
    assert write_pack(ImageListing(images), make_pipeline(other), path, 1).wall_s > 0
    assert len(read_images(path, None, other).images) == len(images)


def test_a_pack_of_a_part_says_so(images: tuple[LabelledImage, ...], tmp_path: Path) -> None:
    write_pack(ImageListing(images, ("98.png", "99.png")), PIPELINE, tmp_path / "val.pack", 1)
    with pytest.raises(
        DataError, match=r"without 2 labelled images that were not there .*\('98\.png', '99\.png'\); --allow"
    ):
        read(tmp_path / "val.pack")
    part = read_images(tmp_path / "val.pack", None, 4, allow_partial=True)
    assert (len(part.images), part.missing, part.identify()) == (COUNT, ("98.png", "99.png"), hash_listing(images))
    assert write(images, tmp_path / "val.pack").index.missing == ()
    assert len(read(tmp_path / "val.pack")) == COUNT


def test_a_leak_is_found_behind_a_pack(images: tuple[LabelledImage, ...], tmp_path: Path) -> None:
    write(images, tmp_path / "val.pack")
    contents = hash_contents([images[5].path])
    images[5].path.unlink()
    packed = read(tmp_path / "val.pack")
    with pytest.raises(DataError, match=r"1 of 35 evaluation images were used for calibration, first 05\.png in"):
        check_apart(contents, packed)
    check_apart(contents, packed[:5] + packed[6:])


def test_a_broken_image_leaves_no_pack(images: tuple[LabelledImage, ...], tmp_path: Path) -> None:
    images[20].path.write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"20\.png"):
        write(images, tmp_path / "out" / "val.pack")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b"a tar"), lambda path: path.mkdir()])
def test_another_file_is_never_replaced(
    make: Callable[[Path], object], images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    make(tmp_path / "val.pack")
    with pytest.raises(UsageError, match=r"val\.pack is there and is no pack; choose another --output"):
        write(images, tmp_path / "val.pack")


def test_prepared_images_are_not_packed(images: tuple[LabelledImage, ...], tmp_path: Path) -> None:
    write(images, tmp_path / "val.pack")
    with pytest.raises(
        UsageError, match=r"00\.png in .*val\.pack is preprocessed already; a pack is made of image files"
    ):
        write(read(tmp_path / "val.pack"), tmp_path / "other.pack")


def test_a_full_disk_is_reported_and_leaves_nothing(
    images: tuple[LabelledImage, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    with limited_files(PAGE + 20 * SIZE), pytest.raises(StorageError, match=r"val\.pack cannot be written"):
        write(images, tmp_path / "out" / "val.pack")
    usage = (0, 0, COUNT * SIZE - 1)
    monkeypatch.setattr(pack.shutil, "disk_usage", lambda folder: pack.shutil._ntuple_diskusage(*usage))
    with pytest.raises(StorageError, match=r"val\.pack takes 2,520 bytes, and 2,519 are free; make room"):
        write(images, tmp_path / "out" / "val.pack")
    assert list((tmp_path / "out").iterdir()) == []
