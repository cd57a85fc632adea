"""Calibration images are found wherever they lie, and never among those to evaluate on."""

import hashlib
from pathlib import Path

import pytest

from seatrial.data.calibration import check_apart, hash_contents, read_calibration
from seatrial.data.images import LabelledImage
from seatrial.errors import DataError


def write(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"bytes of {path.name}".encode())
    return paths


def label(*paths: Path) -> list[LabelledImage]:
    return [LabelledImage(path.name, path, 0) for path in paths]


def test_images_of_a_folder_evenly_spaced(tmp_path: Path) -> None:
    paths = write(tmp_path, *(f"{i}.png" for i in range(10)))
    write(tmp_path, "notes.txt")
    assert read_calibration(tmp_path, 300) == tuple(paths)
    assert read_calibration(tmp_path, 4) == tuple(paths[i] for i in (0, 2, 5, 7))


def test_images_of_class_folders_take_from_all_classes(tmp_path: Path) -> None:
    paths = write(tmp_path, "cat/0.jpg", "cat/1.jpg", "dog/0.jpg", "dog/1.jpg")
    write(tmp_path, ".hidden/0.jpg")
    assert read_calibration(tmp_path, 2) == (paths[0], paths[2])


def test_a_list_is_read_relative_to_its_folder(tmp_path: Path) -> None:
    a, b = write(tmp_path, "train/b.png", "train/a.png")
    (tmp_path / "list.txt").write_text(f"train/b.png\n\n{b}\n")
    assert read_calibration(tmp_path / "list.txt", 300) == (a, b)


@pytest.mark.parametrize(
    ("lines", "words"), [("train/gone.png\n", r"gone\.png, which is not there"), ("\n", r"list\.txt is empty")]
)
def test_a_wrong_list_is_refused(lines: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(lines)
    with pytest.raises(DataError, match=words):
        read_calibration(tmp_path / "list.txt", 300)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"calibration folder .* holds no images") as caught:
        read_calibration(tmp_path, 300)
    assert caught.value.exit_code == 6
    with pytest.raises(DataError, match="missing is not there"):
        read_calibration(tmp_path / "missing", 300)


def test_contents_are_known_by_their_bytes(tmp_path: Path) -> None:
    paths = write(tmp_path, "a/0.png", "b/0.png", "b/10.png")
    expected = {hashlib.sha256(text).hexdigest(): len(text) for text in (b"bytes of 0.png", b"bytes of 10.png")}
    assert hash_contents(paths) == expected


def test_an_overlap_is_named_whatever_the_file_is_called(tmp_path: Path) -> None:
    contents = hash_contents(write(tmp_path, "train/0.png", "train/1.png"))
    apart = write(tmp_path, "val/2.png", "val/30.png")
    check_apart(contents, label(*apart))
    copy = tmp_path / "val/renamed.png"
    copy.write_bytes((tmp_path / "train/1.png").read_bytes())
    with pytest.raises(DataError, match=r"1 of 3 evaluation images were used for calibration, first .*renamed\.png"):
        check_apart(contents, label(*apart, copy))


def test_only_files_of_a_known_size_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = hash_contents(write(tmp_path, "train/0.png"))
    (other,) = write(tmp_path, "val/1000.png")
    monkeypatch.setattr(LabelledImage, "read", lambda image: pytest.fail(f"{image} was read"))
    check_apart(contents, label(other))


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image .*gone\.png cannot be read"):
        check_apart({}, label(tmp_path / "gone.png"))
    with pytest.raises(DataError, match=r"image .*gone\.png cannot be read"):
        hash_contents([tmp_path / "gone.png"])


def test_an_overlap_is_found_in_an_archive_and_behind_prepared_images(tmp_path: Path) -> None:
    contents = hash_contents(write(tmp_path, "train/0.png"))
    (size,), (sha256,) = contents.values(), contents
    shard = tmp_path / "shard.tar"
    shard.write_bytes(b"header" + b"bytes of 0.png" + b"bytes of 9.png")
    inside = LabelledImage("0.png", shard, 0, span=(6, size))
    beside = LabelledImage("9.png", shard, 0, span=(6 + size, size))
    made_of_it = LabelledImage("x.png", shard, 0, span=(0, 6), content=(size, sha256))
    check_apart(contents, [beside])
    for image in (inside, made_of_it):
        with pytest.raises(DataError, match=rf"1 of 2 .* first {image.id} in .*shard\.tar"):
            check_apart(contents, [beside, image])


def test_an_archive_that_is_cut_off_names_the_image(tmp_path: Path) -> None:
    (shard,) = write(tmp_path, "shard.tar")
    with pytest.raises(DataError, match=r"image 0\.png in .*shard\.tar is cut off: .* after 3 of its 9 bytes"):
        LabelledImage("0.png", shard, 0, span=(15, 9)).read()
