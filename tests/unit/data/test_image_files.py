"""An image that a set leaves out is named and counted, wherever it lies and whatever it is called."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from seatrial.cli import run_cli
from seatrial.data.bins.raw_inputs import find_inputs
from seatrial.data.calibration import read_calibration
from seatrial.data.check import check_data
from seatrial.data.image_files import HEAD_BYTES, find_left_out, is_image_head
from seatrial.data.labels import list_images, read_class_folders, read_labels
from seatrial.data.sources import read_images
from seatrial.data.sources.training_set import read_training_set
from seatrial.errors import DataError
from seatrial.progress import Update
from tiny_trial import TinyTrial


def encode(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((20, 16)).convert("RGB").save(file, kind, **options)
    return file.getvalue()


JPEG = encode("JPEG")


def write(path: Path, data: bytes = JPEG) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF", "AVIF", "JPEG2000"])
def test_images_are_known_by_their_first_bytes(kind: str) -> None:
    assert is_image_head(encode(kind)[:HEAD_BYTES])


@pytest.mark.parametrize(
    "head", [b"", b"n01440764_1.JPEG 3\n", b"BM is how this begins, and it is text", b"P5 is not", b"<html>", bytes(32)]
)
def test_other_files_are_no_images(head: bytes) -> None:
    assert not is_image_head(head[:HEAD_BYTES])


STRAYS = {
    "in a folder below": "more/x.jpg",
    "two folders below": "more/still/x.png",
    "without a suffix": "n0001",
    "of another suffix": "n0001.dat",
    "of a suffix that we do not read": "photo.heic",
}
STRANGERS = ("Thumbs.db", "notes.txt", ".DS_Store", "._a.jpg", ".cache/a.jpg", "labels/a.txt", "empty")
"""No images: nothing is said of them."""


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Two images and what is none, and their label file."""
    for name in ("a.jpg", "b.jfif"):
        write(tmp_path / "val" / name)
    for name in STRANGERS:
        write(tmp_path / "val" / name, JPEG if name[0] == "." else b"" if name == "empty" else b"no image")
    write(tmp_path / "labels.txt", b"a.jpg 0\nb.jfif 1\n")
    return tmp_path / "val"


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Two class folders of two images, and what is none beside and in them."""
    for name in ("n0/a.jpg", "n0/b.jpe", "n1/c.JPEG", "n1/d.JFIF"):
        write(tmp_path / "train" / name)
    for name in STRANGERS:
        if "labels" not in name:
            write(tmp_path / "train" / name, JPEG if name[0] == "." else b"no image")
        write(tmp_path / "train" / "n1" / name, JPEG if name[0] == "." else b"no image")
    return tmp_path / "train"


FLAT_READERS: dict[str, Callable[[Path], object]] = {
    "any source": lambda folder: read_images(folder, folder.parent / "labels.txt", 2),
    "labels": lambda folder: read_labels(folder, folder.parent / "labels.txt", 2),
    "list": list_images,
    "calibration": lambda folder: read_calibration(folder, 4),
    "infer": lambda folder: find_inputs(str(folder)),
}


@pytest.mark.parametrize("reader", FLAT_READERS)
@pytest.mark.parametrize("kind", STRAYS)
def test_an_image_left_out_of_a_flat_folder_is_named(reader: str, kind: str, flat: Path) -> None:
    FLAT_READERS[reader](flat)
    write(flat / STRAYS[kind])
    with pytest.raises(DataError, match=rf"val holds 1 images that would be left out \('{STRAYS[kind]}'\); move them"):
        FLAT_READERS[reader](flat)


CLASS_READERS: dict[str, Callable[[Path], object]] = {
    "any source": lambda root: read_images(root, None, 2),
    "class folders": lambda root: read_class_folders(root, 2),
    "calibration": lambda root: read_calibration(root, 4),
}


@pytest.mark.parametrize("reader", CLASS_READERS)
@pytest.mark.parametrize("stray", ["n0/deep/x.jpg", "n1/x", ".n2/../n1/x.dat"])
def test_an_image_left_out_of_class_folders_is_named(reader: str, stray: str, classes: Path) -> None:
    CLASS_READERS[reader](classes)
    (classes / ".n2").mkdir()
    write(classes / stray)
    shown = stray.removeprefix(".n2/../")
    with pytest.raises(DataError, match=rf"train holds 1 images that would be left out \('{shown}'\)"):
        CLASS_READERS[reader](classes)


def test_images_beside_class_folders_are_named_and_counted(classes: Path) -> None:
    for number in range(5):
        write(classes / f"x{number}.jpg")
    told = r"train holds 5 images that would be left out \('x0\.jpg', 'x1\.jpg', 'x2\.jpg', …\)"
    for read in (lambda: read_images(classes, None, 2), lambda: read_class_folders(classes, 2)):
        with pytest.raises(DataError, match=told):
            read()


def test_who_asks_for_a_part_is_told_what_is_left_out(flat: Path, classes: Path) -> None:
    notes: list[str] = []

    def tell(update: Update) -> None:
        notes.append(update.note)

    write(flat / "more" / "x.jpg")
    write(classes / "x.jpg")
    found = read_images(flat, flat.parent / "labels.txt", 2, allow_partial=True, progress=tell).images
    assert [image.id for image in found] == ["a.jpg", "b.jfif"]
    found = read_images(classes, None, 2, allow_partial=True, progress=tell).images
    assert [image.id for image in found] == ["n0/a.jpg", "n0/b.jpe", "n1/c.JPEG", "n1/d.JFIF"]
    assert notes == [
        f"{flat} holds 1 images that are left out ('more/x.jpg')",
        f"{classes} holds 1 images that are left out ('x.jpg')",
    ]


def test_images_beside_bins_and_archives_are_named(flat: Path) -> None:
    folder = flat.parent / "shards"
    with tarfile.open(write(folder / "a.tar"), "w") as archive:
        archive.add(flat / "a.jpg", "a.jpg")
        archive.add(flat / "b.jfif", "b.jfif")
    labels = flat.parent / "labels.txt"
    assert len(read_images(folder, labels, 2).images) == 2
    write(folder / "x")
    with pytest.raises(DataError, match=r"shards holds 1 images that would be left out \('x'\)"):
        read_images(folder, labels, 2)


def test_members_that_are_images_by_content_only_are_named(flat: Path) -> None:
    path = flat.parent / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("a.jpg", "b.jfif", "notes.txt"):
            archive.add(flat / name, name)
        archive.add(flat / "a.jpg", "photo")
        archive.add(flat / "a.jpg", "._photo.jpg")
    labels, notes = flat.parent / "labels.txt", []
    with pytest.raises(DataError, match=r"a\.tar holds 1 images without a suffix such as \.jpg \('photo of "):
        read_images(path, labels, 2)
    found = read_images(path, labels, 2, allow_partial=True, progress=lambda update: notes.append(update.note))
    assert [image.id for image in found.images] == ["a.jpg", "b.jfif"]
    assert len([note for note in notes if "photo of" in note]) == 1


def test_training_reads_by_the_same_rule(classes: Path) -> None:
    for name in ("n0/a.jpg", "n1/a.jpg"):
        write(classes.parent / "val" / name)
    train, val = read_training_set(classes.parent, 2)
    assert (len(train), len(val)) == (4, 2)
    write(classes / "n0" / "sub" / "x.jpg")
    with pytest.raises(DataError, match=r"train holds 1 images that would be left out \('n0/sub/x\.jpg'\)"):
        read_training_set(classes.parent, 2)


def test_the_check_of_a_set_counts_them(flat: Path, classes: Path) -> None:
    write(flat / "more" / "x.jpg")
    write(classes / "x.jpg")
    for images, labels in ((flat, flat.parent / "labels.txt"), (classes, None)):
        (found,) = (finding for finding in check_data(images, labels, 2) if finding.level == "error")
        assert found.text == "1 images are not part of the set, by their place or name"
        assert found.examples[0].endswith("x.jpg")


def test_a_link_into_its_own_folder_ends(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg")
    write(tmp_path / "more" / "b.jpg")
    (tmp_path / "more" / "up").symlink_to(tmp_path)
    assert find_left_out(tmp_path, {"a.jpg"}) == ["more/b.jpg"]
    write(tmp_path.parent / f"{tmp_path.name}-other" / "c.jpg")
    (tmp_path / "more" / "there").symlink_to(tmp_path.parent / f"{tmp_path.name}-other")
    assert find_left_out(tmp_path, {"a.jpg"}) == ["more/b.jpg", "more/there/c.jpg"]


def test_what_may_not_be_read_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, and tests may be root's: the refusal is made here."""
    write(tmp_path / "lost+found" / "a.jpg")
    write(tmp_path / "more" / "b.jpg")
    scan = os.scandir

    def refuse(path: Path) -> object:
        if "lost+found" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert find_left_out(tmp_path, set()) == ["more/b.jpg"]


@pytest.mark.parametrize("verb", ["preprocess", "pack", "check"])
def test_the_commands_leave_with_6(
    verb: str, tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "val"
    for path in tiny_trial.images.iterdir():
        write(images / path.name, path.read_bytes())
    write(images / "more" / "x.jpg")
    card, labels = str(tiny_trial.card), ["--labels", str(tiny_trial.labels)]
    words = {
        "preprocess": ["preprocess", card, str(images), str(tmp_path / "bins")],
        "pack": ["data", "pack", card, str(images), *labels, "--output", str(tmp_path / "a.pack")],
        "check": ["data", "check", card, "--images", str(images), *labels],
    }
    assert run_cli(words[verb]) == 6
    assert "x.jpg" in "".join(capsys.readouterr())
    if verb == "pack":
        assert run_cli([*words[verb], "--allow-partial"]) == 0
