import os
import re
from pathlib import Path

import pytest

from seatrial.data.classes import Classes
from seatrial.data.images import LabelledImage, hash_listing
from seatrial.data.label_files import read_label_file
from seatrial.data.labels import (
    check_folder,
    find_other_case,
    list_images,
    read_class_folders,
    read_image_list,
    read_labels,
)
from seatrial.errors import DataError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refuse(told: str, images: Path, labels: Path | None, classes: int = 10) -> None:
    with pytest.raises(DataError) as caught:
        read_labels(images, labels, classes)
    assert re.search(told, str(caught.value)), str(caught.value)


def test_a_flat_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    images = touch(tmp_path / "val", "b.JPEG", "a.png", "c d.jpg", "notes.txt", ".hidden.png")
    labels = write(tmp_path / "labels.txt", "c d.jpg 0\nb.JPEG 9\n\na.png 3\n")
    assert read_labels(images, labels, 10) == (
        LabelledImage("a.png", images / "a.png", 3),
        LabelledImage("b.JPEG", images / "b.JPEG", 9),
        LabelledImage("c d.jpg", images / "c d.jpg", 0),
    )


@pytest.mark.parametrize(
    "text", ["a.png 3\nb.png 4\n", "a.png\t3\r\nb.png\t4\r\n", "\ufeffa.png 3\nb.png  4", "  a.png   3  \n\n b.png 4\n"]
)
def test_label_files_come_from_all_kinds_of_editors(text: str, tmp_path: Path) -> None:
    assert read_label_file(write(tmp_path / "labels.txt", text), (), Classes(5)) == {"a.png": 3, "b.png": 4}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a.png 3\nb.png\n", r"labels\.txt:2: 'b\.png' is not `NAME CLASS`; mend the line$"),
        ("a.png three\n", r"labels\.txt:1: 'a\.png three' is not `NAME CLASS`; mend the line$"),
        ("a.png -1\n", r"labels\.txt:1: 'a\.png -1' is not"),
        ("a.png 1.0\n", r"labels\.txt:1: 'a\.png 1\.0' is not"),
        ("a.png ²\n", r"labels\.txt:1: 'a\.png ²' is not"),
        ("3\nb.png 4\n", r"labels\.txt:1: '3' is not"),
        ("a.png 1\nb.png 1\na.png 1\n", r"labels\.txt:3: 'a\.png' is listed twice; remove one of the lines$"),
        ("a.png 1\na.png  2\n", r"labels\.txt:2: 'a\.png' is listed twice; remove one of the lines$"),
        ("a.png  1\na.png 2\n", r"labels\.txt:2: 'a\.png' is listed twice; remove one of the lines$"),
        ("\n \n", r"label file \S+labels\.txt is empty; give --labels another file$"),
        (b"\x80\x81\xff 3\n", r"label file \S+labels\.txt cannot be read \(not text\); give --labels FILE$"),
    ],
)
def test_a_line_that_is_no_label_is_named(text: str | bytes, told: str, tmp_path: Path) -> None:
    refuse(told, touch(tmp_path / "val", "a.png"), write(tmp_path / "labels.txt", text))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    images = touch(tmp_path / "val", "a.png")
    refuse(r"label file \S+none.txt cannot be read \(No such file", images, tmp_path / "none.txt")
    refuse(r"label file \S+val cannot be read \(Is a directory\)", images, images)
    labels = write(tmp_path / "labels.txt", "a.png 1\n")
    refuse(r"image folder \S+/none is not there; check its path$", tmp_path / "none", labels)
    refuse(r"image folder \S+/labels.txt is a file, not a folder; check its path$", labels, labels)
    refuse(r"image folder \S+/labels.txt is a file, not a folder; check its path$", labels, None)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("a b c", r"1 labelled but not there \('c\.png'\), 0 there but not labelled; every image needs exactly one"),
        ("a", r"0 labelled but not there, 1 there but not labelled \('b\.png'\); every image"),
        ("a c d e f", r"4 labelled but not there \('c\.png', 'd\.png', 'e\.png', …\), 1 there but not labelled"),
        (
            "x y",
            r"labels\.txt names other images than \S+val holds \(it begins with 'x\.png', the folder with 'a\.png'\)",
        ),
    ],
)
def test_names_that_are_missing_on_either_side_are_reported(names: str, told: str, tmp_path: Path) -> None:
    images = touch(tmp_path / "val", "a.png", "b.png")
    refuse(told, images, write(tmp_path / "labels.txt", "".join(f"{name}.png 1\n" for name in names.split())))


def test_a_folder_of_other_letters_is_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("imagenet/val").mkdir(parents=True)
    for given in ("imageNet/val", "./ImageNet/VAL"):
        with pytest.raises(DataError, match=r"is not there; did you mean imagenet/val\?"):
            check_folder(Path(given))
    assert find_other_case(tmp_path / "imagenet" / "Val") == tmp_path / "imagenet" / "val"
    Path("ImageNet").mkdir()
    assert find_other_case(Path("imageNet/val")) is None
    assert find_other_case(Path("imagenet/train")) is None


def test_a_folder_without_images_is_reported(tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.txt", "a.png 1\n")
    refuse("the folder with no image at all", touch(tmp_path / "val", "notes.txt"), labels)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a.png 9\nb.png 12\n", r"has class 12 \(1 images\), the network has classes 0\.\.9; 'b\.png' is one of them"),
        (
            "a.png 1\nb.png 10\n",
            r"has class 10 \(1 images\), .* 0\.\.9; labels count from 0 and these from 1: 'b\.png' is no class "
            r"as it is, and class 9 with `offset = -1` under `\[labels\]` of the card$",
        ),
        ("a.png 0\nb.png 10\n", r"has class 10 \(1 images\), .* is this the right recipe\?$"),
    ],
)
def test_a_class_that_the_network_lacks_is_refused(text: str, told: str, tmp_path: Path) -> None:
    refuse(told, touch(tmp_path / "val", "a.png", "b.png"), write(tmp_path / "labels.txt", text))


def test_class_folders_are_numbered_by_name(tmp_path: Path) -> None:
    root = touch(
        tmp_path, "n02/z.png", "n02/a.jpeg", "n01/b.BMP", "n10/c.webp", "n10/d.tif", ".cache/e.png", "n01/f.md"
    )
    found = read_labels(root, None, 3)
    assert [(image.id, image.label) for image in found] == [
        ("n01/b.BMP", 0),
        ("n02/a.jpeg", 1),
        ("n02/z.png", 1),
        ("n10/c.webp", 2),
        ("n10/d.tif", 2),
    ]
    assert all(image.path == root / image.id for image in found)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a.png"], "holds no class folders; give --labels FILE for a flat folder; `run` and `evaluate` judge"),
        (["a.parquet"], r"holds no class folders and no images; it has 'a\.parquet'; unpack the images into a folder"),
        (["n1/a.png"], r"has 1 class folders \('n1'\), the network 2 classes; give the recipe of these classes"),
        (
            ["n1/a.png", "n2/a.png", "n3/a.png"],
            r"has 3 class folders \(.*\), the network 2 classes; give the recipe of these classes",
        ),
        (["n1/a.png", "n2/a.txt"], "class folder .*/n2 holds no images; remove it, or add its images$"),
    ],
)
def test_wrong_class_folders_are_refused(names: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told):
        read_class_folders(touch(tmp_path / "train", *names), 2)


def test_an_image_list_names_files_beside_it(tmp_path: Path) -> None:
    touch(tmp_path, "train/1/b.png", "train/0/a.png")
    listed = write(tmp_path / "list.txt", f"train/1/b.png\n\n {tmp_path}/train/0/a.png \n")
    assert read_image_list(listed) == [tmp_path / "train" / "1" / "b.png", tmp_path / "train" / "0" / "a.png"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a.png\nb.png\n", r"list\.txt names \S+/b\.png, which is not there; mend the list$"),
        ("a.png\n./a.png\n", r"list\.txt names \S+/a\.png twice; remove one of the lines$"),
        ("\n", r"list\.txt is empty; mend the list$"),
        (b"\xff\xd8\xff", r"image list \S+list\.txt cannot be read \(not text\); give a text file$"),
        (None, r"image list \S+list\.txt cannot be read \(No such file or directory\); give a text file$"),
    ],
)
def test_a_wrong_image_list_is_refused(text: str | bytes | None, told: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    if text is not None:
        write(tmp_path / "list.txt", text)
    with pytest.raises(DataError, match=told):
        read_image_list(tmp_path / "list.txt")


def test_images_are_known_by_suffix_in_any_case(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.Png", "c.txt", "d", ".e.png", "f.tiff")
    assert [path.name for path in list_images(tmp_path)] == ["a.Png", "b.JPG", "f.tiff"]


def test_a_listing_is_known_by_names_labels_sizes_and_times(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    images = [LabelledImage(name, tmp_path / name, 1) for name in ("a.png", "b.png")]
    first = hash_listing(images)
    assert hash_listing(images) == first
    others = [
        hash_listing(images[:1]),
        hash_listing([images[0], LabelledImage("b.png", images[1].path, 2)]),
        hash_listing([images[0], LabelledImage("c.png", images[1].path, 1)]),
    ]
    time_ns = images[1].path.stat().st_mtime_ns
    write(images[1].path, "longer than it was")
    others.append(hash_listing(images))
    write(images[1].path, "b.png")
    os.utime(images[1].path, ns=(time_ns, time_ns + 1))
    others.append(hash_listing(images))
    assert len({first, *others}) == 6
    os.utime(images[1].path, ns=(time_ns, time_ns))
    assert hash_listing(images) == first


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(
        DataError,
        match=r"image \S+/a\.png cannot be read \(No such file or directory\); check its path and permissions$",
    ):
        hash_listing([LabelledImage("a.png", tmp_path / "a.png", 0)])
