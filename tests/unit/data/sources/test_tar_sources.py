"""Images in tar archives: found by offset, whatever wrote the archive, and nothing hostile in one gets through."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seatrial.data.calibration import check_apart, hash_contents
from seatrial.data.sources import ImageListing, read_images
from seatrial.data.sources.shards import expand_braces
from seatrial.errors import DataError, RefusedFile, SeatrialError
from seatrial.progress import Update

BLOCK = 512
END = bytes(2 * BLOCK)


def make_header(name: str, size: int = 0, **changes: object) -> bytes:
    """A member's header as Python writes it."""
    info = tarfile.TarInfo(name)
    info.size = size
    for key, value in changes.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def patch_header(header: bytes, at: int, data: bytes) -> bytes:
    """Other bytes in a header, its checksum made right again."""
    patched = bytearray(header)
    patched[at : at + len(data)] = data
    patched[148:156] = b" " * 8
    patched[148:156] = f"{sum(patched):06o}\0 ".encode()
    return bytes(patched)


def make_member(name: str, data: bytes) -> bytes:
    return make_header(name, len(data)) + data + bytes(-len(data) % BLOCK)


def write_tar(path: Path, members: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def write_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def describe(listing: ImageListing) -> dict[str, tuple[int, bytes]]:
    return {image.id: (image.label, image.read()) for image in listing.images}


def refuse(told: str, source: Path | str, labels: Path | None = None, kind: type[SeatrialError] = RefusedFile) -> None:
    with pytest.raises(kind, match=told):
        read_images(source, labels, 10)


def test_webdataset_shards_of_a_folder_in_the_order_of_ids(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "a.tar", {"000003.jpg": b"three", "000003.cls": b"3\n", "000001.cls": b"1", "000001.jpg": b"one"}
    )
    write_tar(
        tmp_path / "b.tar",
        {"000002.png": b"two", "000002.json": b'{"label": 2, "x": 0}', "000000.JPEG": b"", "000000.cls": b"0"},
    )
    updates: list[Update] = []
    found = read_images(tmp_path, None, 4, progress=updates.append)
    assert [image.id for image in found.images] == ["000000.JPEG", "000001.jpg", "000002.png", "000003.jpg"]
    assert describe(found) == {
        "000000.JPEG": (0, b""), "000001.jpg": (1, b"one"), "000002.png": (2, b"two"), "000003.jpg": (3, b"three"),
    }  # fmt: skip
    assert [(update.done, update.total) for update in updates] == [(1, 2), (2, 2)]
    assert str(found.images[1]) == f"000001.jpg in {tmp_path}/a.tar"


def test_what_is_no_image_is_passed_over(tmp_path: Path) -> None:
    members = {"./x.jpg": b"x", "./x.cls": b"1", "./._x.jpg": b"a Mac's", "x.txt": b"", "x.seg.npy": b"", "README": b""}
    assert describe(read_images(write_tar(tmp_path / "a.tar", members), None, 2)) == {"x.jpg": (1, b"x")}


def test_a_cls_member_goes_before_a_json_one(tmp_path: Path) -> None:
    members = {"x.jpg": b"", "x.json": b'{"label": 1}', "x.cls": b" 2 "}
    assert read_images(write_tar(tmp_path / "a.tar", members), None, 3).images[0].label == 2


@pytest.mark.parametrize(
    "text", [b'{"label": true}', b'{"label": -1}', b'{"label": "3"}', b'{"class": 1}', b"[" * 100000, b"\xff", b"[3]"]
)
def test_json_may_tell_other_things_than_a_class(tmp_path: Path, text: bytes) -> None:
    members = {"n1/x.jpg": b"", "n1/x.json": text, "n1/x.cls": b"2", "info.json": text}
    assert read_images(write_tar(tmp_path / "a.tar", members), None, 3).images[0].label == 2
    del members["n1/x.cls"]
    assert read_images(write_tar(tmp_path / "b.tar", members), None, 1).images[0].label == 0
    members |= {"n1/y.jpg": b"", "n1/y.json": b'{"label": 3}'}
    told = r"of 2 images, 1 have no class beside them \('n1/x\.jpg of .*c\.tar'\).* whole number as \"label\""
    refuse(told, write_tar(tmp_path / "c.tar", members), kind=DataError)


def test_a_label_file_names_members_by_the_last_part_of_their_names(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {"val/b.jpg": b"b", "val/b.cls": b"nonsense", "a.jpg": b"a"})
    labels = write_text(tmp_path / "labels.txt", "a.jpg 3\nb.jpg 4\n")
    assert describe(read_images(archive, labels, 5)) == {"a.jpg": (3, b"a"), "b.jpg": (4, b"b")}
    other = write_tar(tmp_path / "more.tar", {"x/a.jpg": b"", "y/a.jpg": b""})
    refuse(r"'a\.jpg' is there twice, in .*more\.tar and in", other, labels, DataError)
    few = write_tar(tmp_path / "few.tar", {"a.jpg": b""})
    refuse(r"1 labelled but not there \('b\.jpg'\).*--allow-partial", few, labels, DataError)


@pytest.mark.parametrize("root", ["", "imagenet/val/", "./val/"])
def test_class_folders_are_numbered_by_name(tmp_path: Path, root: str) -> None:
    members = {f"{root}{name}.jpg": name.encode() for name in ("n2/b", "n1/c", "n2/a")}
    archive = write_tar(tmp_path / "a.tar", members)
    found = describe(read_images(archive, None, 2))
    assert found == {"n1/c.jpg": (0, b"n1/c"), "n2/a.jpg": (1, b"n2/a"), "n2/b.jpg": (1, b"n2/b")}
    refuse(r"has 2 class folders \('n1', 'n2'\), the network 10 classes", archive, kind=DataError)


LONG = f"{'folder/' * 20}{'x' * 90}"


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (tarfile.USTAR_FORMAT, LONG),
        (tarfile.GNU_FORMAT, LONG * 2),
        (tarfile.PAX_FORMAT, LONG * 2),
        (tarfile.PAX_FORMAT, "größe/猫"),
        (tarfile.GNU_FORMAT, "größe/猫"),
    ],
)
def test_long_and_foreign_names(tmp_path: Path, form: int, name: str) -> None:
    members = {f"{name}.jpg": b"1", "b.jpg": b"2" * 1000, f"{name}.cls": b"7", "b.cls": b"8"}
    found = describe(read_images(write_tar(tmp_path / "a.tar", members, form), None, 10))
    assert found == {f"{name}.jpg": (7, b"1"), "b.jpg": (8, b"2" * 1000)}


def test_headers_written_by_hand(tmp_path: Path) -> None:
    """An archive of before ustar, a size in base 256, and a size that only a PAX header tells."""
    v7 = patch_header(make_header("a.jpg", 3), 257, bytes(255))
    binary = patch_header(make_header("b.jpg", 3), 124, b"\x80" + (3).to_bytes(11))
    record = b"10 size=3\n"
    pax = make_member("pax", record)
    pax = patch_header(pax[:BLOCK], 156, b"x") + pax[BLOCK:] + make_header("c.jpg", 0)
    data = b"".join(part + b"abc" + bytes(BLOCK - 3) for part in (v7, binary, pax)) + END
    labels = write_text(tmp_path / "labels.txt", "a.jpg 0\nb.jpg 1\nc.jpg 2\n")
    found = describe(read_images(write_bytes(tmp_path / "a.tar", data), labels, 3))
    assert found == {"a.jpg": (0, b"abc"), "b.jpg": (1, b"abc"), "c.jpg": (2, b"abc")}


def test_directories_and_padding_are_nothing(tmp_path: Path) -> None:
    data = make_header("n1/", type=tarfile.DIRTYPE) + make_member("n1/a.jpg", b"a") + END + bytes(100 * BLOCK)
    assert describe(read_images(write_bytes(tmp_path / "a.tar", data), None, 1)) == {"n1/a.jpg": (0, b"a")}


def test_a_brace_pattern_names_every_shard(tmp_path: Path) -> None:
    for number in range(8, 12):
        write_tar(tmp_path / f"s-{number:03d}.tar", {f"{number}.jpg": b"", f"{number}.cls": b"0"})
    found = read_images(f"{tmp_path}/s-{{008..011}}.tar", None, 1)
    assert [image.path.name for image in found.images] == ["s-010.tar", "s-011.tar", "s-008.tar", "s-009.tar"]
    refuse(
        r"of 6 archives, 2 are not there \('.*s-012\.tar', '.*s-013\.tar'\)",
        f"{tmp_path}/s-{{008..013}}.tar",
        kind=DataError,
    )
    assert list(map(str, expand_braces("{8..10}/x-{01..02}.tar"))) == [
        "8/x-01.tar", "8/x-02.tar", "9/x-01.tar", "9/x-02.tar", "10/x-01.tar", "10/x-02.tar",
    ]  # fmt: skip


@pytest.mark.parametrize("pattern", ["s-{012..000}.tar", "s-{00..100}.tar", "s-{0..99999999999999999999}.tar"])
def test_a_range_that_is_none_is_refused(pattern: str) -> None:
    refuse(r"is no range; write it like shard-\{000\.\.012\}\.tar", pattern, kind=DataError)


def test_a_class_without_an_image_is_missing(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {"a.jpg": b"", "a.cls": b"1", "b.cls": b"2"})
    refuse(r"1 labelled but not there \('b'\).*--allow-partial", archive, kind=DataError)
    notes: list[str] = []
    found = read_images(archive, None, 10, allow_partial=True, progress=lambda update: notes.append(update.note))
    assert ([image.id for image in found.images], found.missing) == (["a.jpg"], ("b",))
    assert notes[-1] == "1 labelled images are not there ('b'): 1 are taken"


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"a.jpg": b"", "a.cls": b"1", "b.jpg": b""}, r"of 2 images, 1 have no class .*'b\.jpg of .*a\.tar'"),
        ({"a.jpg": b"", "a.png": b"", "a.cls": b"1"}, r"'a\.jpg' of .* and 'a\.png' of .* have one key, 'a'"),
        ({"v/a.b.jpg": b"", "v/a.c.jpg": b""}, r"'v/a\.b\.jpg' of .* and 'v/a\.c\.jpg' of .* one key, 'v/a'; rename"),
        ({"a.jpg": b"", "a.cls": b"cat"}, r"'a\.cls' of .* is not a class in digits"),
        ({"a.jpg": b"", "a.cls": b""}, r"'a\.cls' of .*\(0 bytes\) is not a class in digits"),
        ({"a.jpg": b"", "a.cls": b"-1"}, "is not a class in digits"),
        ({"a.jpg": b"", "a.cls": "²".encode()}, "is not a class in digits"),
        ({"a.jpg": b"", "a.cls": b" " * 65 + b"1"}, r"\(66 bytes\) is not a class"),
        ({"a.jpg": b"", "a.cls": b"10"}, r"has class 10 \(1 images\), the network has classes 0\.\.9"),
        ({"a.jpg": b"", "b/c.jpg": b""}, r"has no classes: 'a\.jpg' is in no folder; give every image a NAME\.cls"),
        ({"v/n1/a.jpg": b"", "w/n1/b.jpg": b""}, r"several places: 'v/n1/a\.jpg' and 'w/n1/b\.jpg'"),
        ({"n01440764.tar": b"", "notes.txt": b""}, "holds no images; `seatrial data prepare` unpacks"),
    ],
)
def test_contents_that_contradict_themselves_are_refused(members: dict[str, bytes], told: str, tmp_path: Path) -> None:
    refuse(told, write_tar(tmp_path / "a.tar", members), kind=DataError)


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    image, label = make_member("a.jpg", b"1"), make_member("a.cls", b"1")
    refuse(
        r"'a\.jpg' of .* and 'a\.jpg' of .* have one key",
        write_bytes(tmp_path / "a.tar", image + label + image + END),
        kind=DataError,
    )
    twice = write_bytes(tmp_path / "a.tar", image + label + label + END)
    refuse(r"'a\.cls' of .* is there twice", twice, kind=DataError)
    write_bytes(tmp_path / "a.tar", image + label + END)
    write_bytes(tmp_path / "b.tar", make_member("a.png", b"1") + END)
    refuse(r"'a\.jpg' of .*/a\.tar and 'a\.png' of .*/b\.tar have one key, 'a'", tmp_path, kind=DataError)


SPARSE_10 = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n25 GNU.sparse.name=a.jpg\n28 GNU.sparse.realsize=1024\n"


def make_pax(records: bytes) -> bytes:
    data = make_member("pax", records)
    return patch_header(data[:BLOCK], 156, b"x") + data[BLOCK:]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (make_header("a.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd"), r"member 'a\.jpg' is a link"),
        (make_header("a.jpg", type=tarfile.LNKTYPE, linkname="b.jpg"), r"member 'a\.jpg' is a link"),
        (make_header("a.jpg", type=tarfile.FIFOTYPE), r"member 'a\.jpg' is no regular file"),
        (make_header("a.jpg", type=tarfile.CHRTYPE), r"member 'a\.jpg' is no regular file"),
        (make_header("a.jpg", type=b"Q"), r"member 'a\.jpg' is no regular file"),
        (make_header("a.jpg", type=tarfile.GNUTYPE_SPARSE), r"member 'a\.jpg' is sparse"),
        (make_pax(SPARSE_10) + make_member("a.jpg", b"1\n0\n512\n"), r"member 'a\.jpg' is sparse"),
        (make_header("/etc/a.jpg"), r"member '/etc/a\.jpg' leads out of the archive"),
        (make_header("x/../../a.jpg"), "leads out of the archive"),
        (make_header("a\nb.jpg"), r"member 'a\\nb\.jpg' has an empty or unprintable name"),
        (patch_header(make_header("aa.jpg"), 0, b"\xff"), "has an empty or unprintable name"),
        (make_header(""), "has an empty or unprintable name"),
        (make_header("a.jpg", 5000), r"member 'a\.jpg' of 5,000 bytes at 512 goes beyond the file's"),
        (make_header("a.jpg", 1 << 60), "goes beyond the file's"),
        (patch_header(make_header("a.jpg"), 124, b"\xff" * 11 + b"\x00"), "member 'a.jpg' of -256 bytes"),
        (make_pax(b"99 path=b.jpg\n") + make_header("a.jpg"), r"is cut off or damaged|unprintable name"),
        (make_pax(b"13 size=-512\n") + make_header("a.jpg"), "of -512 bytes|is cut off or damaged"),
        (patch_header(make_header("pax", 1 << 40), 156, b"x"), "a header of 1,099,511,627,776 bytes"),
        (patch_header(make_header("././@LongLink", 1 << 40), 156, b"L"), "a header of 1,099,511,627,776 bytes"),
    ],
)
def test_hostile_members_are_refused(header: bytes, told: str, tmp_path: Path) -> None:
    refuse(told, write_bytes(tmp_path / "a.tar", header + END))
    refuse(
        told.replace("at 512", r"at 1,\d+"), write_bytes(tmp_path / "a.tar", make_member("0.jpg", b"0") + header + END)
    )


def cut(data: bytes) -> bytes:
    return make_member("a.jpg", bytes(2000)) + make_member("b.jpg", b"b") + data


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (cut(b""), "is cut off or damaged after 3,584 bytes"),
        (cut(bytes(100)), "is cut off or damaged after 3,584 bytes"),
        (cut(END)[:3000], r"is cut off or damaged|goes beyond"),
        (cut(END)[:1500], r"'a\.jpg' of 2,000 bytes at 512 goes beyond the file's 1,500"),
        (cut(END)[:700], r"goes beyond the file's 700"),
        (cut(b"x" * BLOCK + END), "is cut off or damaged after 3,584 bytes"),
        (cut(END + cut(END)), "goes on after its end; fetch it again; joined archives"),
        (cut(END + b"1"), "goes on after its end"),
        (b"x" * 3 * BLOCK, "is cut off or damaged"),
        (b"", "is cut off or damaged"),
    ],
)
def test_damaged_archives_are_refused(data: bytes, told: str, tmp_path: Path) -> None:
    refuse(told, write_bytes(tmp_path / "a.tar", data))


@pytest.mark.parametrize("at", range(0, BLOCK, 37))
def test_a_flipped_bit_in_a_header_is_found(at: int, tmp_path: Path) -> None:
    data = bytearray(cut(END))
    data[2560 + at] ^= 1
    with pytest.raises(RefusedFile, match=r"a\.tar is (cut off or )?damaged"):
        read_images(write_bytes(tmp_path / "a.tar", bytes(data)), None, 10)


@pytest.mark.parametrize(
    ("compress", "kind"),
    [(gzip.compress, "gzip.; unpack it: `gunzip "), (bz2.compress, "bzip2"), (lzma.compress, "xz")],
)
@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.tar.gz"])
def test_compressed_archives_are_refused(
    compress: Callable[[bytes], bytes], kind: str, name: str, tmp_path: Path
) -> None:
    path = write_bytes(tmp_path / name, compress(cut(END)))
    refuse(rf"is compressed \({kind}", path)
    refuse(rf"is compressed \({kind}", tmp_path)


def test_threads_read_any_image(tmp_path: Path) -> None:
    members = {f"n0/{i:03d}.jpg": f"bytes of {i}".encode() * i for i in range(200)}
    found = read_images(write_tar(tmp_path / "a.tar", members), None, 1)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda image: image.read(), found.images)) == list(members.values())


def test_an_archive_that_changes_is_told_apart(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {"n0/a.jpg": b"0123"})
    found = read_images(archive, None, 1)
    before = found.identify()
    write_bytes(archive, archive.read_bytes()[:514])
    with pytest.raises(
        DataError, match=r"image n0/a\.jpg in .*a\.tar is cut off: the file ends after 2 of its 4 bytes"
    ):
        found.images[0].read()
    assert read_images(write_tar(archive, {"n0/a.jpg": b"01234"}), None, 1).identify() != before


def test_a_leak_is_found_in_an_archive(tmp_path: Path) -> None:
    used = write_bytes(tmp_path / "train.jpg", b"calibrated with")
    found = read_images(
        write_tar(tmp_path / "a.tar", {"n0/a.jpg": b"another one....", "n0/b.jpg": b"calibrated with"}), None, 1
    )
    with pytest.raises(DataError, match=r"1 of 2 evaluation images were used for calibration, first n0/b\.jpg in"):
        check_apart(hash_contents([used]), found.images)
