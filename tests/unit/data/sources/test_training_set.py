"""What to train on is found whatever it lies in, and both parts number their classes alike."""

import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fake_engine import make_recipe
from seatrial.data.images import LabelledImage
from seatrial.data.preprocessing.check_prepared import describe_input
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.data.sources import read_images
from seatrial.data.sources.pack_file import write_pack
from seatrial.data.sources.training_set import read_held_out, read_training_set
from seatrial.errors import DataError
from seatrial.progress import Update

NAMES = ("n03", "n01", "n02")
PIPELINE = make_pipeline(make_recipe())


def make_folders(folder: Path, names: tuple[str, ...] = NAMES, count: int = 2) -> Path:
    """Class folders of small images; the pixels of each are its class's number."""
    for name in names:
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = np.full((4, 6, 3), sorted(names).index(name), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{folder.name}{index}.png")
    return folder


def archive(folder: Path, path: Path, classes: Iterable[str] = ("",)) -> None:
    """Some class folders of a folder as one archive; all unless said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as made:
        for name in classes:
            for file in sorted((folder / name).rglob("*.png")):
                made.add(file, str(file.relative_to(folder)))


def check(images: tuple[LabelledImage, ...], count: int = 2) -> None:
    """Each image is labelled with its class's number."""
    assert [image.label for image in images] == [number for number in range(3) for _ in range(count)]
    for image in images:
        assert set(PIPELINE.decode(image.read(), image.id).ravel().tolist()) == {image.label}


def test_class_folders_are_numbered_in_the_order_of_their_names(tmp_path: Path) -> None:
    make_folders(tmp_path / "train")
    make_folders(tmp_path / "val", count=1)
    train, val = read_training_set(tmp_path, 3)
    check(train)
    check(val, 1)
    assert [image.id for image in val] == ["n01/val0.png", "n02/val0.png", "n03/val0.png"]
    (tmp_path / "train").rename(tmp_path / "elsewhere")
    assert read_held_out(tmp_path, 3) == val


def test_archives_and_shards_stand_for_folders(tmp_path: Path) -> None:
    train, val = make_folders(tmp_path / "made" / "train"), make_folders(tmp_path / "made" / "val", count=1)
    data = tmp_path / "data"
    archive(val, data / "val" / "val.tar")
    for number, name in enumerate(sorted(NAMES)):
        archive(train, data / f"train-{number:03d}.tar", [name])
    found = read_training_set(data, 3)
    check(found[0])
    check(found[1], 1)
    (data / "train-001.tar").unlink()
    with pytest.raises(DataError, match=r"of 3 archives, 1 are not there \('.*train-001\.tar'\)"):
        read_training_set(data, 3)


def test_a_flat_folder_has_a_label_file_beside_it(tmp_path: Path) -> None:
    make_folders(tmp_path / "train")
    (tmp_path / "val").mkdir()
    lines: Mapping[str, int] = {"a.png": 2, "b.png": 0}
    for name, label in lines.items():
        Image.fromarray(np.full((4, 6, 3), label, np.uint8)).save(tmp_path / "val" / name)
    (tmp_path / "val_label.txt").write_text("".join(f"{name} {label}\n" for name, label in lines.items()))
    _, val = read_training_set(tmp_path, 3)
    assert [(image.id, image.label) for image in val] == [("a.png", 2), ("b.png", 0)]


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize(
    ("train", "val", "told"),
    [
        (("a", "b", "c"), ("a", "b"), r"data differ: 1 only in train \('c'\); both"),
        (("a", "b", "c"), ("a", "b", "d"), r"data differ: 1 only in train \('c'\), 1 only in val \('d'\); both"),
    ],
)
def test_a_class_that_one_part_lacks_is_named(
    train: tuple[str, ...], val: tuple[str, ...], told: str, archived: bool, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    make_folders(data / "train", train)
    if archived:
        archive(make_folders(tmp_path / "made", val), data / "val.tar")
        # An archive's folders are not looked at before they are counted.
        told = told if len(val) == 3 else r"val\.tar has 2 class folders .*, the network 3 classes"
    else:
        make_folders(data / "val", val)
    with pytest.raises(DataError, match=told):
        read_training_set(data, 3)


def test_the_number_of_classes_must_be_the_networks(tmp_path: Path) -> None:
    make_folders(tmp_path / "train")
    make_folders(tmp_path / "val")
    with pytest.raises(DataError, match=r"train has 3 class folders .*, the network 4 classes"):
        read_training_set(tmp_path, 4)


def test_one_source_stands_for_each_part(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data folder .*/none is not there; `seatrial data make-demo` makes one"):
        read_training_set(tmp_path / "none", 3)
    make_folders(tmp_path / "train")
    with pytest.raises(DataError, match=r"holds no 'val'; a folder \(of .*\), a \.tar, a \.pack, or val-000\.tar, …$"):
        read_training_set(tmp_path, 3)
    archive(make_folders(tmp_path / "val"), tmp_path / "val.tar")
    with pytest.raises(DataError, match=r"holds val and val\.tar; keep one of them, and rename the others"):
        read_training_set(tmp_path, 3)
    for name in ("train-1.tar", "train-10.tar"):
        archive(tmp_path / "val", tmp_path / name)
    with pytest.raises(DataError, match=r"2 archives, first train-1\.tar, are not all named like train-000\.tar"):
        read_training_set(tmp_path, 3)


def test_packs_may_be_of_the_cards_own_pixels(tmp_path: Path) -> None:
    for name in ("train", "val"):
        made = make_folders(tmp_path / "made" / name)
        (tmp_path / "data").mkdir(exist_ok=True)
        write_pack(read_images(made, None, 3), PIPELINE, tmp_path / "data" / f"{name}.pack", 1)
    notes: list[Update] = []
    train, val = read_training_set(tmp_path / "data", 3, notes.append, describe_input(PIPELINE, "uint8"))
    assert [image.label for image in train] == [image.label for image in val] == [0, 0, 1, 1, 2, 2]
    assert [set(image.read()) for image in train] == [{image.label} for image in train]
    assert notes[-1].note == f"crops are taken from the 4×6 pixels of {tmp_path}/data/train.pack"
    other = make_recipe(preprocess=[{"step": "resize", "size": [4, 6]}, {"step": "to_float"}])
    for expected in (None, describe_input(make_pipeline(other), "uint8")):
        with pytest.raises(DataError, match="was preprocessed, and not as the card crops its pixels; give image files"):
            read_training_set(tmp_path / "data", 3, expected=expected)
