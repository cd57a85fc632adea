from pathlib import Path

import pytest
from PIL import Image

from seatrial.data import check
from seatrial.data.check import Finding, check_data
from seatrial.errors import DataError
from seatrial.progress import Update


def draw(path: Path) -> None:
    """A tiny image, whose bytes no other one has."""
    Image.new("RGB", (2, 2)).save(path, "JPEG", comment=str(path))


def make_set(folder: Path, labels: list[int], name: str = "val_{:04d}.JPEG") -> tuple[Path, Path]:
    """A flat folder of tiny images and its label file."""
    images = folder / "images"
    images.mkdir()
    lines = []
    for index, label in enumerate(labels):
        draw(images / name.format(index))
        lines.append(f"{name.format(index)} {label}\n")
    (folder / "labels.txt").write_text("".join(lines))
    return images, folder / "labels.txt"


def check_set(made: tuple[Path, Path | None], classes: int, **more: int) -> list[Finding]:
    return list(check_data(*made, classes, **more))


def test_a_good_set_has_no_findings(tmp_path: Path) -> None:
    updates: list[Update] = []
    images, labels = make_set(tmp_path, [0, 1, 2] * 20)
    assert check_data(images, labels, 3, expected=60, decode_workers=2, progress=updates.append) == ()
    assert [(update.done, update.total) for update in updates] == [(32, 60), (60, 60)]


def test_everything_wrong_with_names_is_reported_at_once(tmp_path: Path) -> None:
    made = make_set(tmp_path, [0, 1, 0, 1])
    with made[1].open("a") as file:
        file.write("gone.JPEG 1\nval_0000.JPEG 0\nval_0001.JPEG 0\nno label\n\nval_0003.JPEG -1\n")
    draw(made[0] / "new.JPEG")
    (made[0] / "notes.txt").touch()
    assert check_set(made, 2) == [
        Finding(
            "error", f"2 lines of {made[1]} are not `NAME CLASS`", ("line 8: no label", "line 10: val_0003.JPEG -1")
        ),
        Finding(
            "error",
            f"2 lines of {made[1]} name an image again",
            ("line 6: val_0000.JPEG (with the same class)", "line 7: val_0001.JPEG (with another class)"),
        ),
        Finding("error", "1 images are labelled but not there", ("gone.JPEG",)),
        Finding("error", "1 images are there but not labelled", ("new.JPEG",)),
        Finding("warning", "1 other files or folders lie among the images", ("notes.txt",)),
    ]


def test_files_that_cannot_be_decoded_are_counted_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "UPDATE_EVERY", 2)
    made = make_set(tmp_path, [0, 1] * 4)
    (made[0] / "val_0001.JPEG").write_bytes(b"")
    whole = (made[0] / "val_0006.JPEG").read_bytes()
    (made[0] / "val_0006.JPEG").write_bytes(whole[: len(whole) // 2])
    (found,) = check_set(made, 2, decode_workers=2)
    assert (found.level, found.text) == ("error", "2 of 8 files cannot be decoded")
    assert "val_0001.JPEG is no image (the file is empty)" in found.examples[0]
    assert "val_0006.JPEG is damaged" in found.examples[1]


def test_at_most_five_examples_are_kept(tmp_path: Path) -> None:
    made = make_set(tmp_path, [0, 1] * 4)
    made[1].write_text("".join(f"other_{i} {i % 2}\n" for i in range(8)))
    assert [len(found.examples) for found in check_set(made, 2)] == [5, 5]


def test_labels_that_count_from_one_are_reported(tmp_path: Path) -> None:
    (found,) = check_set(make_set(tmp_path, [1, 2, 3, 3]), 3)
    assert found == Finding(
        "error",
        "2 labels are not one of the network's classes 0..2: they count from 1, so give the card "
        "`[labels] offset = -1`",
        ("class 3 (2 images)",),
    )


def test_classes_that_the_network_does_not_have_are_reported(tmp_path: Path) -> None:
    found = check_set(make_set(tmp_path, [0, 1, 2, 5, 7]), 3)
    assert found == [
        Finding(
            "error",
            "2 labels are not one of the network's classes 0..2",
            ("class 5 (1 images)", "class 7 (1 images)"),
        )
    ]


def test_a_first_class_that_alone_is_empty_is_suspicious(tmp_path: Path) -> None:
    found = check_set(make_set(tmp_path, [1, 2, 3, 1, 2, 3]), 4)
    assert [f.text for f in found] == [
        "class 0 has no image and every other class has: are all labels shifted by one?",
        "1 of 4 classes have no image",
    ]
    assert {f.level for f in found} == {"warning"}


def test_nearly_empty_classes_are_reported(tmp_path: Path) -> None:
    (found,) = check_set(make_set(tmp_path, [0] * 20 + [1] * 20 + [2]), 3)
    assert found == Finding(
        "warning", "1 classes are nearly empty (the median class has 20 images)", ("class 2 (1 images)",)
    )


def test_a_wrong_number_of_images_is_an_error(tmp_path: Path) -> None:
    (found,) = check_set(make_set(tmp_path, [0, 1]), 2, expected=3)
    assert found == Finding("error", "there are 2 images, not 3")


def test_part_of_imagenet_is_told_as_such(tmp_path: Path) -> None:
    made = make_set(tmp_path, [3, 4], "ILSVRC2012_val_{:08d}.JPEG")
    texts = [found.text for found in check_set(made, 1000)]
    assert "these are 2 of the 50000 images of ILSVRC2012's validation set" in texts
    assert "998 of 1000 classes have no image" in texts
    assert check_set(made, 5, expected=2)[0].text == "3 of 5 classes have no image"


def test_all_of_imagenet_has_fifty_images_a_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "ILSVRC_IMAGES", 100)
    monkeypatch.setattr(check, "ILSVRC_CLASSES", 2)
    made = make_set(tmp_path, [0, 1] * 50, "ILSVRC2012_val_{:08d}.JPEG")
    assert check_set(made, 2) == []
    made[1].write_text(made[1].read_text().replace("00000000.JPEG 0", "00000000.JPEG 1"))
    (found,) = check_set(made, 2)
    assert found.level == "error" and found.examples == ("class 0 (49 images)", "class 1 (51 images)")


def test_names_that_become_one_are_reported(tmp_path: Path) -> None:
    made = make_set(tmp_path, [0, 1])
    draw(made[0] / "val_0001.png")
    with made[1].open("a") as file:
        file.write("val_0001.png 1\n")
    (found,) = check_set(made, 2)
    assert found.level == "warning" and found.examples == ("val_0001.JPEG and val_0001.png",)


def test_class_folders_are_checked_too(tmp_path: Path) -> None:
    for name in ("n01", "n02", "n03"):
        (tmp_path / name).mkdir()
        if name != "n02":
            draw(tmp_path / name / "a.JPEG")
    (tmp_path / "list.txt").touch()
    assert check_set((tmp_path, None), 3) == [
        Finding("warning", "1 files lie beside the class folders", ("list.txt",)),
        Finding("warning", "1 of 3 classes have no image", ("class 1",)),
    ]
    told = f"{tmp_path} has 3 class folders ('n01', 'n02', 'n03'), the network 4 classes"
    assert check_set((tmp_path, None), 4)[0].text == told


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    images, labels = make_set(tmp_path, [])
    assert [f.text for f in check_set((images, labels), 2)] == [f"{images} holds no images"]


def test_what_is_not_there_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not there"):
        check_set((tmp_path / "none", tmp_path / "labels.txt"), 2)
    with pytest.raises(DataError, match=r"label file .* cannot be read"):
        check_set((tmp_path, tmp_path / "labels.txt"), 2)


def test_other_label_files_and_layouts_are_checked_as_they_are_read(tmp_path: Path) -> None:
    images, labels = make_set(tmp_path, [0, 1, 2] * 4)
    rows = [line.split() for line in labels.read_text().splitlines()]
    labels.write_text("file,label\n" + "".join(f"{name},{label}\n" for name, label in rows))
    assert check_set((images, labels), 3) == []
    labels.write_text("".join(f"{label}\n" for _, label in rows))
    assert check_set((images, labels), 3) == []
    labels.write_text("0\n1\n")
    (found, *_) = check_set((images, labels), 3)
    assert found.text == f"{labels} has 2 numbers without names, and there are 12 images"
    deeper = tmp_path / "set" / "val"
    deeper.parent.mkdir()
    images.rename(deeper)
    labels.write_text("".join(f"{name} {label}\n" for name, label in rows))
    assert check_set((deeper.parent, labels), 3) == []


def test_numbered_folders_are_checked_by_their_numbers(tmp_path: Path) -> None:
    """By text 10 and 11 would be the classes 2 and 3, of which one would be empty."""
    for number in range(12):
        (tmp_path / str(number)).mkdir()
        if number != 10:
            draw(tmp_path / str(number) / "a.JPEG")
    notes: list[str] = []
    found = check_data(tmp_path, None, 12, progress=lambda update: notes.append(update.note))
    assert found == (Finding("warning", "1 of 12 classes have no image", ("class 10",)),)
    assert any("'10' is class 10" in note for note in notes)


def test_copies_of_an_image_are_reported_and_those_of_two_classes_first(tmp_path: Path) -> None:
    images, labels = make_set(tmp_path, [0, 1] * 3)
    for copy, original in ((3, 0), (4, 2)):
        (images / f"val_{copy:04d}.JPEG").write_bytes((images / f"val_{original:04d}.JPEG").read_bytes())
    differ, alike = check_set((images, labels), 2)
    assert differ.level == alike.level == "warning"
    assert differ.text == "1 images are there several times, with other classes"
    assert differ.examples == ("val_0000.JPEG (class 0) and val_0003.JPEG (class 1)",)
    assert alike.text == "1 images are there several times, with one class"
    assert alike.examples == ("val_0002.JPEG and val_0004.JPEG",)
