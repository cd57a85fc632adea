import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from full_disk import limited_files
from seatrial.data.archives import imagenet as prepare
from seatrial.data.archives.imagenet import PreparedImageNet, prepare_imagenet
from seatrial.data.labels import read_class_folders, read_labels
from seatrial.errors import DataError, RefusedFile, StorageError, UsageError
from seatrial.progress import Update

WNIDS = {1: "n02119789", 2: "n01440764", 3: "n03000000"}
"""By ILSVRC id: sorted they are in another order."""
VAL = {f"ILSVRC2012_val_{index:08d}.JPEG": bytes([index]) * 700 * index for index in range(1, 6)}
TRUTH = (3, 1, 2, 2, 1)
LABELS = """\
ILSVRC2012_val_00000001.JPEG 2
ILSVRC2012_val_00000002.JPEG 1
ILSVRC2012_val_00000003.JPEG 0
ILSVRC2012_val_00000004.JPEG 0
ILSVRC2012_val_00000005.JPEG 1
"""


def make_tar(members: Mapping[str, bytes], format_: int = tarfile.GNU_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format_) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def make_class(wnid: str, count: int) -> bytes:
    return make_tar({f"{wnid}_{index}.JPEG": f"{wnid} {index}".encode() * 50 for index in range(count)})


def make_meta(wnids: Mapping[int, str] = WNIDS) -> bytes:
    """As in the devkit: the classes first, then a synset that has children."""
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    rows = [(id_, wnid, "a word", 0) for id_, wnid in wnids.items()] + [(1860, "n00001740", "entity", 3)]
    file = io.BytesIO()
    savemat(file, {"synsets": np.array(rows, dtype=fields)})
    return file.getvalue()


def make_devkit(meta: bytes | None = None, truth: str = "".join(f"{id_}\n" for id_ in TRUTH)) -> bytes:
    root = "ILSVRC2012_devkit_t12"
    members = {f"{root}/readme.txt": b"hello", f"{root}/data/meta.mat": meta or make_meta()}
    members[f"{root}/data/ILSVRC2012_validation_ground_truth.txt"] = truth.encode()
    return gzip.compress(make_tar(members))


@pytest.fixture
def archives(tmp_path: Path) -> dict[str, Path]:
    """The three archives, small, in the form of the published ones."""
    train = {f"{wnid}.tar": make_class(wnid, count) for count, wnid in enumerate(WNIDS.values(), start=1)}
    contents = {"train": make_tar(train), "val": make_tar(VAL), "devkit": make_devkit()}
    found = {}
    for part, content in contents.items():
        found[part] = tmp_path / f"{part}.tar"
        found[part].write_bytes(content)
    return found


def list_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def unpack(tmp_path: Path, part: str, content: bytes) -> PreparedImageNet:
    archive = tmp_path / "hostile.tar"
    archive.write_bytes(content)
    return prepare_imagenet(tmp_path / "out", verify=False, **{part: archive})


def test_the_three_archives_become_the_usual_layout(tmp_path: Path, archives: dict[str, Path]) -> None:
    out = tmp_path / "out"
    made = prepare_imagenet(out, verify=False, **archives)
    assert made == PreparedImageNet(6, 5, out / "val_label.txt")
    assert (out / "val_label.txt").read_text() == LABELS
    assert {path.name: path.read_bytes() for path in (out / "val").glob("*.JPEG")} == VAL
    assert [(image.id, image.label) for image in read_class_folders(out / "train", 3)] == [
        ("n01440764/n01440764_0.JPEG", 0),
        ("n01440764/n01440764_1.JPEG", 0),
        ("n02119789/n02119789_0.JPEG", 1),
        ("n03000000/n03000000_0.JPEG", 2),
        ("n03000000/n03000000_1.JPEG", 2),
        ("n03000000/n03000000_2.JPEG", 2),
    ]
    assert [image.label for image in read_labels(out / "val", out / "val_label.txt", 3)] == [2, 1, 0, 0, 1]
    assert (out / "train" / "n01440764" / "n01440764_1.JPEG").read_bytes() == b"n01440764 1" * 50


def test_published_archives_are_known_by_their_md5(
    tmp_path: Path, archives: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    md5 = {part: hashlib.md5(path.read_bytes()).hexdigest() for part, path in archives.items()}
    monkeypatch.setattr(prepare, "MD5", md5)
    assert prepare_imagenet(tmp_path / "out", **archives).train_images == 6


@pytest.mark.parametrize("part", ["train", "val", "devkit"])
def test_another_archive_is_refused_and_leaves_nothing(tmp_path: Path, archives: dict[str, Path], part: str) -> None:
    with pytest.raises(RefusedFile, match=rf"is not the published {part} archive \(md5 [0-9a-f]{{32}}, not"):
        prepare_imagenet(tmp_path / "out", **{part: archives[part]})
    assert list_files(tmp_path / "out") == [".lock"]


def test_what_is_unpacked_is_not_unpacked_again(tmp_path: Path, archives: dict[str, Path]) -> None:
    first = prepare_imagenet(tmp_path / "out", verify=False, **archives)
    (tmp_path / "out" / "val" / "ILSVRC2012_val_00000001.JPEG").write_bytes(b"mark")
    notes: list[str] = []
    again = prepare_imagenet(
        tmp_path / "out", verify=False, progress=lambda update: notes.append(update.note), **archives
    )
    assert again == first
    assert (tmp_path / "out" / "val" / "ILSVRC2012_val_00000001.JPEG").read_bytes() == b"mark"
    assert [note.split(":")[0] for note in notes] == ["already unpacked"] * 2


def test_a_folder_from_elsewhere_is_left_alone(tmp_path: Path, archives: dict[str, Path]) -> None:
    (tmp_path / "out" / "val").mkdir(parents=True)
    with pytest.raises(UsageError, match="is there already, and not from"):
        prepare_imagenet(tmp_path / "out", val=archives["val"], verify=False)


def test_stopped_it_goes_on_after_the_last_whole_class(
    tmp_path: Path, archives: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "UPDATE_EVERY", 1)
    out, train, told = tmp_path / "out", archives["train"], 0

    def stop(update: Update) -> None:
        nonlocal told
        told += 1
        if told == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_imagenet(out, train, verify=False, progress=stop)
    (staging,) = (tmp_path / "out").glob(".train.*.part")
    assert sorted(os.listdir(staging)) == ["n01440764.part", "n02119789"]
    kept = (staging / "n02119789" / "n02119789_0.JPEG").stat().st_ino
    assert prepare_imagenet(out, train, verify=False).train_images == 6
    assert (tmp_path / "out" / "train" / "n02119789" / "n02119789_0.JPEG").stat().st_ino == kept
    assert len(list_files(tmp_path / "out" / "train")) == 6 + 1
    assert not list((tmp_path / "out").glob(".train.*"))


def test_a_full_disk_is_reported(tmp_path: Path, archives: dict[str, Path]) -> None:
    with limited_files(1000), pytest.raises(StorageError):
        prepare_imagenet(tmp_path / "out", val=archives["val"], verify=False)
    assert not (tmp_path / "out" / "val").exists()
    assert prepare_imagenet(tmp_path / "out", val=archives["val"], verify=False).val_images == 5


def add(name: str, **fields: object) -> Callable[[tarfile.TarFile], None]:
    """Adds a member that is a good image but for its name or `fields`."""

    def to(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        for field, value in fields.items():
            setattr(info, field, value)
        content = b"x" * 100 if info.isreg() else b""
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))

    return to


GOOD = "ILSVRC2012_val_00000009.JPEG"
HOSTILE = {
    "up": (add("../evil.JPEG"), "is not named like an image"),
    "up with a good name": (add(f"../{GOOD}"), "is not named like an image"),
    "absolute": (add(f"/tmp/{GOOD}"), "is not named like an image"),
    "in a folder": (add(f"sub/{GOOD}"), "is not named like an image"),
    "another name": (add("setup.py"), "is not named like an image"),
    "line break": (add(f"{GOOD}\n"), "is not named like an image"),
    "hidden": (add(f"._{GOOD}"), "is not named like an image"),
    "long name": (add("a" * 5000 + ".JPEG"), "is not named like an image"),
    "symbolic link": (add(GOOD, type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link"),
    "hard link": (add(GOOD, type=tarfile.LNKTYPE, linkname="/etc/passwd"), "is a link"),
    "pipe": (add(GOOD, type=tarfile.FIFOTYPE), "is no regular file"),
    "character device": (add(GOOD, type=tarfile.CHRTYPE, devmajor=1, devminor=3), "is no regular file"),
    "block device": (add(GOOD, type=tarfile.BLKTYPE, devmajor=8), "is no regular file"),
    "unknown kind": (add(GOOD, type=b"Z"), "is no regular file"),
    "twice": (add("ILSVRC2012_val_00000001.JPEG"), "is in its archive twice"),
    "renamed by its header": (add(GOOD, pax_headers={"path": f"../../{GOOD}"}), "is not named like an image"),
    "sparse by its header": (
        add(GOOD, pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "1099511627776"}),
        "is sparse|has 1,099,511,627,776 bytes",
    ),
    "negative size in its header": (add(GOOD, pax_headers={"size": "-512"}), "has -512 bytes|is damaged"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_members_are_refused(tmp_path: Path, case: str) -> None:
    add_to, problem = HOSTILE[case]
    file = io.BytesIO(make_tar(VAL))
    with tarfile.open(fileobj=file, mode="a", format=tarfile.PAX_FORMAT) as archive:
        add_to(archive)
    before = list_files(tmp_path)
    with pytest.raises(RefusedFile, match=problem):
        unpack(tmp_path, "val", file.getvalue())
    assert list_files(tmp_path) == sorted([*before, "hostile.tar", "out/.lock"])


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"n01440764.tar": make_tar({"n02119789_1.JPEG": b"x"})}, "n02119789_1.JPEG' is not named like an image"),
        ({"n01440764.tar": make_tar({"../n01440764_1.JPEG": b"x"})}, "is not named like an image"),
        ({"../n01440764.tar": make_class("n01440764", 1)}, "has no name of a class"),
        ({"n01440764.JPEG": b"x"}, "has no name of a class"),
        ({"n01440764.tar": b"not an archive" * 100}, r"n01440764\.tar is cut off or damaged"),
        ({"n01440764.tar": make_class("n01440764", 2)[:1024]}, r"n01440764_0\.JPEG is cut off or damaged"),
    ],
)
def test_hostile_classes_are_refused(tmp_path: Path, members: dict[str, bytes], problem: str) -> None:
    with pytest.raises(RefusedFile, match=problem):
        unpack(tmp_path, "train", make_tar(members))
    assert list_files(tmp_path / "out") == [".lock"]


def test_a_class_twice_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO(make_tar({"n01440764.tar": make_class("n01440764", 1)}))
    with tarfile.open(fileobj=file, mode="a") as archive:
        info = tarfile.TarInfo("n01440764.tar")
        info.size = len(make_class("n01440764", 2))
        archive.addfile(info, io.BytesIO(make_class("n01440764", 2)))
    with pytest.raises(RefusedFile, match=r"'n01440764\.tar' is there twice"):
        unpack(tmp_path, "train", file.getvalue())


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


WHOLE = make_tar(VAL)
SECOND = 1024 + 512
"""Where the second member's header begins: after the first header and 700 bytes in two blocks."""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        WHOLE[:1000],
        WHOLE[:SECOND],
        WHOLE[: SECOND + 100],
        flip(WHOLE, SECOND),
        flip(WHOLE, len(WHOLE) - 1),
        WHOLE + b"more",
        make_tar({}),
    ],
    ids=[
        "empty",
        "web page",
        "cut in a file",
        "cut between files",
        "cut in a header",
        "damaged header",
        "tail",
        "more",
        "none",
    ],
)
def test_damaged_archives_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(RefusedFile):
        unpack(tmp_path, "val", content)
    assert list_files(tmp_path / "out") == [".lock"]


def test_a_header_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type = tarfile.GNUTYPE_LONGNAME
    info.size = 1 << 40
    with pytest.raises(RefusedFile, match="a header of 1,099,511,627,776 bytes"):
        unpack(tmp_path, "val", info.tobuf(tarfile.GNU_FORMAT) + bytes(10240))


def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type = tarfile.GNUTYPE_LONGNAME
    info.size = 512
    with pytest.raises(RefusedFile, match="cut off or damaged"):
        unpack(tmp_path, "val", (info.tobuf(tarfile.GNU_FORMAT) + b"a" * 512) * 3000)


def test_too_many_images_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "MOST_IMAGES", {"val": 4, "train": 4})
    with pytest.raises(RefusedFile, match="more than 4 images"):
        unpack(tmp_path, "val", WHOLE)


def test_too_many_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "MOST_BYTES", {"val": 5000, "train": 5000})
    with pytest.raises(RefusedFile, match="more than 5,000 bytes"):
        unpack(tmp_path, "val", WHOLE)
    monkeypatch.setattr(prepare, "MOST_BYTES", {"val": 10**9})
    monkeypatch.setattr(prepare, "MOST_IMAGE_BYTES", 2000)
    with pytest.raises(RefusedFile, match="has 2,100 bytes"):
        unpack(tmp_path, "val", WHOLE)


def test_a_devkit_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "MOST_BYTES", {"devkit": 100_000})
    bomb = gzip.compress(make_tar({"ILSVRC2012_devkit_t12/data/meta.mat": bytes(10**7)}))
    assert len(bomb) < 100_000
    with pytest.raises(RefusedFile, match="more than 100,000 bytes"):
        unpack(tmp_path, "devkit", bomb)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            gzip.compress(make_tar({"a/data/meta.mat": make_meta()})),
            r"holds no data/ILSVRC2012_validation_ground_truth",
        ),
        (make_devkit()[:-20], "cannot be read|cut off or damaged"),
        (make_devkit(meta=b"MATLAB 5.0 MAT-file" + bytes(200)), r"meta\.mat in .* cannot be read"),
        (make_devkit(meta=make_meta({1: "n01440764", 2: "n01440764"})), "numbers its classes twice"),
        (make_devkit(truth="1\n4\n"), "line 2: '4' is no class"),
        (make_devkit(truth="1\n1860\n"), "line 2: '1860' is no class"),
        (make_devkit(truth="1\n\n2\n"), "line 2: '' is no class"),
    ],
)
def test_a_devkit_that_is_none_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(RefusedFile, match=problem):
        unpack(tmp_path, "devkit", content)
    assert not (tmp_path / "out" / "val_label.txt").exists()


def test_images_and_devkit_must_belong_together(tmp_path: Path, archives: dict[str, Path]) -> None:
    archives["devkit"].write_bytes(make_devkit(truth="1\n" * 6))
    with pytest.raises(DataError, match=r"1 of 6 are missing, 0 are not in the devkit \(first '.*_00000006"):
        prepare_imagenet(tmp_path / "out", val=archives["val"], devkit=archives["devkit"], verify=False)
    assert not (tmp_path / "out" / "val_label.txt").exists()


def test_a_devkit_alone_gives_the_labels(tmp_path: Path, archives: dict[str, Path]) -> None:
    made = prepare_imagenet(tmp_path / "out", devkit=archives["devkit"], verify=False)
    assert made == PreparedImageNet(labels=tmp_path / "out" / "val_label.txt")
    assert (tmp_path / "out" / "val_label.txt").read_text() == LABELS


def test_something_must_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no archive is given"):
        prepare_imagenet(tmp_path / "out")
    with pytest.raises(UsageError, match=r"there is no archive .*val\.tar"):
        prepare_imagenet(tmp_path / "out", val=tmp_path / "val.tar")
