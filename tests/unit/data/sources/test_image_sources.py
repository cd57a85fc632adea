"""Kinds of sources are told apart by what they are; folders, lists and `.info` files."""

import os
import re
from pathlib import Path

import pytest

from seatrial.data.images import LabelledImage
from seatrial.data.labels import read_labels
from seatrial.data.sources import read_images, read_unlabelled
from seatrial.errors import DataError, SeatrialError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images in `val`, their label file, and this as the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "val").mkdir()
    for name in ("a.jpg", "b.JPEG", "c.png"):
        (tmp_path / "val" / name).write_bytes(name.encode())
    (tmp_path / "labels.txt").write_text("c.png 2\na.jpg 0\nb.JPEG 1\n")
    return tmp_path


def refuse(told: str, source: Path | str, labels: Path | None = None, kind: type[SeatrialError] = DataError) -> None:
    with pytest.raises(kind) as caught:
        read_images(source, labels, 3)
    assert re.search(told, str(caught.value)), str(caught.value)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_flat_folder_is_as_ever(here: Path) -> None:
    found = read_images("val", here / "labels.txt", 3)
    assert found.images == read_labels(Path("val"), here / "labels.txt", 3)
    assert found.missing == ()


def test_class_folders_are_as_ever(here: Path) -> None:
    for number in range(3):
        (here / "train" / f"n{number}").mkdir(parents=True)
        (here / "train" / f"n{number}" / "x.jpg").write_bytes(b"")
    (here / "train" / "train.tar").write_bytes(b"what the folders came from")
    assert read_images("train", None, 3).images == read_labels(Path("train"), None, 3)


def test_a_part_is_named_and_told_of(here: Path) -> None:
    (here / "val" / "b.JPEG").unlink()
    refuse(
        r"1 labelled but not there \('b\.JPEG'\).*one line; --allow-partial does without those",
        "val",
        Path("labels.txt"),
    )
    notes: list[str] = []
    found = read_images("val", Path("labels.txt"), 3, True, progress=lambda update: notes.append(update.note))
    assert [image.id for image in found.images] == ["a.jpg", "c.png"]
    assert found.missing == ("b.JPEG",)
    assert notes == ["1 labelled images are not there ('b.JPEG'): 2 are taken"]
    write(here / "labels.txt", "c.png 2\n")
    with pytest.raises(DataError, match=r"1 there but not labelled \('a\.jpg'\); every image needs exactly one line$"):
        read_images("val", Path("labels.txt"), 3, allow_partial=True)
    write(here / "labels.txt", "d.png 2\n")
    with pytest.raises(DataError, match="names other images than val holds"):
        read_images("val", Path("labels.txt"), 3, allow_partial=True)


def test_a_list_is_labelled_by_file_name(here: Path) -> None:
    (here / "lists").mkdir()
    listed = write(here / "lists" / "all.txt", f"../val/b.JPEG\n\n{here}/val/c.png\n../val/a.jpg\n")
    found = read_images(listed, Path("labels.txt"), 3).images
    assert [(image.id, image.label, image.read()) for image in found] == [
        ("a.jpg", 0, b"a.jpg"), ("b.JPEG", 1, b"b.JPEG"), ("c.png", 2, b"c.png"),
    ]  # fmt: skip


def test_a_list_may_tell_the_classes_itself(here: Path) -> None:
    (here / "val" / "two words.jpg").write_bytes(b"2")
    listed = write(here / "all.txt", "val/two words.jpg 2\nval/a.jpg 0\n")
    assert read_images(str(listed), None, 3).images == (
        LabelledImage("val/a.jpg", here / "val/a.jpg", 0),
        LabelledImage("val/two words.jpg", here / "val/two words.jpg", 2),
    )


@pytest.mark.parametrize(
    ("text", "labels", "told"),
    [
        ("", None, r"image list all\.txt is empty; write a path in each line$"),
        ("\n", "labels.txt", r"image list all\.txt is empty; write a path in each line$"),
        ("val/a.jpg\n", None, r"'val/a\.jpg' of all\.txt is not `PATH CLASS`; or give --labels FILE"),
        ("val/a.jpg 0\nval/a.jpg 1\n", None, r"'val/a\.jpg' is listed twice in all\.txt; remove"),
        ("val/a.jpg 3\n", None, r"all\.txt has class 3 \(1 images\)"),
        ("val/a.jpg 0\nval/x.jpg 1\nval/y.jpg 1\n", None, r"2 files that are not there \('val/x\.jpg', 'val/y\.jpg'\)"),
        ("val/x.jpg 0\n", None, r"all\.txt names 1 files that are not there \('val/x\.jpg'\)$"),
        ("val/a.jpg\n", "labels.txt", r"2 labelled but not there \('b\.JPEG', 'c\.png'\)"),
        ("val/a.jpg\nval/a.jpg\n", "labels.txt", r"two files 'a\.jpg': val/a\.jpg and val/a\.jpg"),
        ("val/a.jpg\nlabels.txt\n", "labels.txt", r"1 there but not labelled \('labels\.txt'\)"),
        ("val/a.jpg\nval/b.bin\n", "labels.txt", r"all\.txt names 1 bins, first val/b\.bin, among 2 files; list bins"),
    ],
)  # fmt: skip
def test_a_wrong_list_is_refused(text: str, labels: str | None, told: str, here: Path) -> None:
    write(here / "all.txt", text)
    refuse(told, "all.txt", Path(labels) if labels else None)


def test_listed_files_that_are_not_there_are_missing(here: Path) -> None:
    write(here / "all.txt", "val/a.jpg 0\nval/x.jpg 1\n")
    found = read_images("all.txt", None, 3, allow_partial=True)
    assert ([image.id for image in found.images], found.missing) == (["val/a.jpg"], ("val/x.jpg",))
    (here / "val" / "b.JPEG").unlink()
    write(here / "all.txt", "val/a.jpg\nval/b.JPEG\n")
    found = read_images("all.txt", Path("labels.txt"), 3, allow_partial=True)
    assert ([image.id for image in found.images], found.missing) == (["a.jpg"], ("b.JPEG", "c.png"))
    write(here / "all.txt", "val/a.jpg\nval/unlabelled.jpg\n")
    with pytest.raises(DataError, match=r"1 there but not labelled \('unlabelled\.jpg'\)"):
        read_images("all.txt", Path("labels.txt"), 3, allow_partial=True)


def test_an_info_file_lists_images_from_the_current_folder(here: Path) -> None:
    write(here / "labels.txt", "a.jpg 0\nb.JPEG 1\n")
    write(here / "val" / "all.info", "0 val/a.jpg 500 375\n1 ./val/b.JPEG 9 9\n")
    found = read_images("val/all.info", Path("labels.txt"), 3).images
    assert [(image.id, image.label, str(image.path)) for image in found] == [
        ("a.jpg", 0, "val/a.jpg"), ("b.JPEG", 1, "val/b.JPEG"),
    ]  # fmt: skip
    refuse(r"all\.info is an \.info file, which has no classes; give --labels FILE", "val/all.info")
    write(here / "val" / "all.info", "0 a.jpg 500\n")
    refuse(r"all\.info:1: '0 a\.jpg 500' is not `INDEX PATH WIDTH HEIGHT`", "val/all.info", Path("labels.txt"))


def test_an_info_file_of_images_is_read(here: Path) -> None:
    (here / "val" / "b.JPEG").unlink()
    write(here / "labels.txt", "a.jpg 2\n")
    write(here / "val.info", "0 ./val/a.jpg 5 4\n")
    (found,) = read_images("val.info", Path("labels.txt"), 3).images
    assert (found.id, found.label, found.prepared) == ("a.jpg", 2, None)


@pytest.mark.parametrize("data", [b"\xff\xd8\xff\xe0\0\x10JFIF", b"PK\x03\x04\0\0", b"\x89PNG\r\n\x1a\n\0\0\0\r"])
def test_what_is_no_source_is_told_the_kinds(data: bytes, here: Path) -> None:
    (here / "odd").write_bytes(data)
    refuse(r"odd is no source of images; images are given as a folder .*, a \.tar or .*, a pack, an \.info", "odd")


def test_what_is_not_there_is_told_the_kinds(here: Path) -> None:
    refuse(r"images gone cannot be read \(No such file or directory\); images are given as a folder", "gone")
    refuse(r"label file gone\.txt cannot be read", "val", Path("gone.txt"))


def test_bins_and_archives_in_one_folder_are_refused(here: Path) -> None:
    (here / "mixed").mkdir()
    (here / "mixed" / "a.bin").write_bytes(b"")
    (here / "mixed" / "a.tar").write_bytes(b"")
    refuse(r"mixed holds bins and archives, such as a\.tar; give one of them", "mixed", Path("labels.txt"))


def test_an_empty_folder_is_as_ever(here: Path) -> None:
    (here / "empty").mkdir()
    refuse("empty holds no class folders; give --labels FILE for a flat folder", "empty")
    refuse("the folder with no image at all", "empty", Path("labels.txt"))


def test_one_file_under_two_spellings_counts_once(here: Path) -> None:
    refuse(
        "twice.txt names .* twice, as '.*' and as '.*'; leave one",
        write(here / "twice.txt", "val/a.jpg 0\n./val/a.jpg 0\n"),
    )


def test_a_pipe_is_no_image(here: Path) -> None:
    os.mkfifo(here / "pipe.jpg")
    with pytest.raises(DataError, match=r"pipe\.jpg is no regular file"):
        LabelledImage("pipe.jpg", here / "pipe.jpg", 0).read()


@pytest.mark.parametrize("layout", ["labels", "classes", "nothing"])
def test_a_partial_set_leaves_out_links_to_nothing(layout: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    parts = ["a", "b"] if layout == "classes" else ["."]
    for part in parts:
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / part / f"{len(part)}{part.strip('.')}.jpg").write_bytes(b"image")
    (folder / parts[0] / "dangling.jpg").symlink_to("nowhere")
    (folder / parts[0] / "loop.jpg").symlink_to("loop.jpg")
    names = sorted(path.name for path in folder.rglob("*.jpg"))
    (tmp_path / "labels.txt").write_text("".join(f"{name} 1\n" for name in names))
    labels = tmp_path / "labels.txt" if layout == "labels" else None
    read = read_unlabelled(folder, True) if layout == "nothing" else read_images(folder, labels, 2, allow_partial=True)
    assert [image.path.name for image in read.images] == [name for name in names if name[0].isdigit()]
    assert [name.rpartition("/")[2] for name in read.missing] == ["dangling.jpg", "loop.jpg"]
    read.identify()
