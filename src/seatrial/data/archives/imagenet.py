"""ImageNet's own archives (ILSVRC2012) to the layout that everything else reads: train/WNID/, val/, val_label.txt.

What is unpacked lies under a hidden name until it is whole. The training archive is an archive of one archive for each
class: stopped, it goes on after the last class that was whole; the validation images start again.
"""

import gzip
import hashlib
import io
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from seatrial.data.archives.tar_stream import FETCH_AGAIN, TarStream, copy_out, read_members, read_whole
from seatrial.errors import DataError, RefusedFile, UsageError
from seatrial.foreign.files import open_regular, read_bytes
from seatrial.progress import Progress, Update, silent
from seatrial.store.files import hash_value, locked, make_folder, write_text
from seatrial.store.record import Record

MD5 = {
    "train": "1d675b47d978889d74fa0da5fadfb00e",
    "val": "29b22e2961454d5413ddabcf34fc5622",
    "devkit": "fa75699e90414af021442c21a62c3abf",
}
"""Of ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz."""
MOST_IMAGES = {"train": 1_300_000, "val": 50_000}
MOST_BYTES = {"train": 160 * 10**9, "val": 8 * 10**9, "devkit": 100 * 10**6}
MOST_IMAGE_BYTES = 64 * 10**6
UPDATE_EVERY = 100
"""Images between two updates."""
LABELS = "val_label.txt"
DONE = ".unpacked.json"
GZIP = b"\x1f\x8b"
_TRAIN_CLASS = re.compile(r"(n[0-9]{8})\.tar")
_TRAIN_IMAGE = re.compile(r"(n[0-9]{8})_[0-9]{1,9}\.JPEG")
_VAL_IMAGE = re.compile(r"ILSVRC2012_val_[0-9]{8}\.JPEG")


class Unpacked(Record):
    """What a folder of images was unpacked from: its `.unpacked.json`."""

    schema_: Literal["seatrial/unpacked/1"] = Field(default="seatrial/unpacked/1", alias="schema")
    archive: str
    key: str
    """The archive's name, size and time of change, hashed."""
    md5: str | None
    """None: not looked at."""
    images: int


@dataclass(frozen=True, slots=True)
class PreparedImageNet:
    """What `prepare_imagenet` unpacked and wrote, or an earlier call did."""

    train_images: int | None = None
    val_images: int | None = None
    labels: Path | None = None


def prepare_imagenet(
    output: Path,
    train: Path | None = None,
    val: Path | None = None,
    devkit: Path | None = None,
    verify: bool = True,
    progress: Progress = silent,
) -> PreparedImageNet:
    """Unpack the archives and write the label file, or find it done.

    Args:
        devkit: names the classes; without it there is no label file.
        verify: refuse an archive whose md5 is not the published one.

    Raises:
        UsageError: no archive was named, one is not there, or its folder holds something else.
        RefusedFile: an archive is not the published one, is damaged, or holds something that it should not.
        DataError: images, classes and labels do not belong together.
        StorageError: the disk is full or may not be written.
    """
    archives = [path for path in (devkit, val, train) if path is not None]
    if not archives:
        raise UsageError("no archive is given", "give --train, --val or --devkit")
    for path in archives:
        if not path.is_file():
            raise UsageError(f"there is no archive {path}", "https://image-net.org/download-images has them")
    with locked(output):
        # The devkit is small: what is wrong with it is known before hours of unpacking.
        labels, wnids = _read_devkit(devkit, verify) if devkit else ({}, ())
        val_images = _unpack("val", val, output, verify, progress) if val else None
        train_images = _unpack("train", train, output, verify, progress) if train else None
        if devkit:
            _check_agreement(output, labels, wnids)
            write_text(output / LABELS, "".join(f"{name} {label}\n" for name, label in labels.items()))
    return PreparedImageNet(train_images, val_images, output / LABELS if devkit else None)


def _unpack(part: Literal["train", "val"], archive: Path, output: Path, verify: bool, progress: Progress) -> int:
    """Unpack into `output/PART`, whole or not at all; returns how many images there are."""
    target = output / part
    stat = archive.stat()
    key = hash_value([archive.name, stat.st_size, stat.st_mtime_ns])
    if target.exists():
        if (target / DONE).is_file() and Unpacked.load(target / DONE).key == key:
            progress(Update("prepare", note=f"already unpacked: {target}"))
            return Unpacked.load(target / DONE).images
        raise UsageError(f"{target} is there already, and not from {archive}", "choose another --output, or remove it")
    staging = output / f".{part}.{key[:12]}.part"
    for stale in output.glob(f".{part}.*.part"):
        if stale != staging or part == "val":
            shutil.rmtree(stale)
    make_folder(staging)
    try:
        images, md5 = _fill(part, archive, staging, verify, progress)
    except RefusedFile:
        shutil.rmtree(staging)
        raise
    Unpacked(archive=archive.name, key=key, md5=md5, images=images).save(staging / DONE)
    os.sync()
    staging.rename(target)
    progress(Update("prepare", note=f"{images} images in {target}"))
    return images


def _fill(
    part: Literal["train", "val"], archive: Path, folder: Path, verify: bool, progress: Progress
) -> tuple[int, str | None]:
    """Unpack into `folder`; returns how many images there are and the archive's md5, if it was to be verified."""
    digest = hashlib.md5(usedforsecurity=False) if verify else None
    size, images = archive.stat().st_size, 0
    with open_regular(archive) as file:
        stream = TarStream(file.read, str(archive), MOST_BYTES[part], None if digest is None else digest.update)
        for images in _copy_val(stream, folder) if part == "val" else _copy_train(stream, folder):
            if images > MOST_IMAGES[part]:
                raise RefusedFile(f"{archive} holds more than {MOST_IMAGES[part]:,} images", FETCH_AGAIN)
            if images % UPDATE_EVERY == 0:
                progress(Update("prepare", stream.position >> 20, size >> 20, f"MiB of {archive.name}"))
    if not images:
        raise RefusedFile(f"{archive} holds no images", f"give the {part} archive")
    if digest is not None and digest.hexdigest() != MD5[part]:
        raise _wrong_md5(archive, digest.hexdigest(), part)
    return images, digest.hexdigest() if digest else None


def _wrong_md5(archive: Path, digest: str, part: str) -> RefusedFile:
    return RefusedFile(
        f"{archive} is not the published {part} archive (md5 {digest}, not {MD5[part]})",
        "fetch it again, or take it as it is with --no-verify",
    )


def _copy_val(stream: TarStream, folder: Path) -> Iterator[int]:
    """Write the images and yield how many there are so far."""
    for count, (name, file, size) in enumerate(read_members(stream), start=1):
        _check_member(stream, name, size, _VAL_IMAGE)
        copy_out(file, size, folder / name, f"{stream.name}: {name}")
        yield count


def _copy_train(stream: TarStream, folder: Path) -> Iterator[int]:
    """Write the images of one class after the other and yield how many there are so far."""
    count = 0
    seen: set[str] = set()
    for name, file, size in read_members(stream):
        match = _TRAIN_CLASS.fullmatch(name)
        if match is None or match[1] in seen:
            why = "is there twice" if match else "has no name of a class"
            raise RefusedFile(f"{stream.name} is refused: its class {name!r} {why}", FETCH_AGAIN)
        seen.add(match[1])
        whole, begun = folder / match[1], folder / f"{match[1]}.part"
        if whole.is_dir():
            count += len(os.listdir(whole))
            yield count
            continue
        shutil.rmtree(begun, ignore_errors=True)
        make_folder(begun)
        for image, bytes_, image_size in read_members(TarStream(file.read, f"{stream.name}: {name}", size)):
            _check_member(stream, image, image_size, _TRAIN_IMAGE, match[1])
            copy_out(bytes_, image_size, begun / image, f"{stream.name}: {name}: {image}")
            count += 1
            yield count
        # A class that has its name is whole, so its bytes must be on disk before it gets it.
        os.sync()
        begun.rename(whole)


def _check_member(stream: TarStream, name: str, size: int, pattern: re.Pattern[str], wnid: str | None = None) -> None:
    match = pattern.fullmatch(name)
    if match is None or (wnid is not None and match[1] != wnid):
        raise RefusedFile(
            f"{stream.name} is refused: its member {name[:200]!r} is not named like an image", FETCH_AGAIN
        )
    if not 0 < size <= MOST_IMAGE_BYTES:
        raise RefusedFile(f"{stream.name} is refused: its member {name!r} has {size:,} bytes", FETCH_AGAIN)


def _check_agreement(output: Path, labels: Collection[str], wnids: Collection[str]) -> None:
    """Refuse images or class folders in `output` that are not those of the devkit."""
    for part, names in (("val", set(labels)), ("train", set(wnids))):
        folder = output / part
        if not folder.is_dir():
            continue
        have = {name for name in os.listdir(folder) if not name.startswith(".")}
        if have != names:
            raise DataError(
                f"{folder} and the devkit do not agree: {len(names - have)} of {len(names)} are missing, "
                f"{len(have - names)} are not in the devkit (first '{min(have ^ names)}')",
                "give the archives of one data set",
            )


def _read_devkit(path: Path, verify: bool) -> tuple[dict[str, int], tuple[str, ...]]:
    """Classes by the name of the validation image, and their WNIDs, sorted.

    A class is its place among these, as in torchvision and in class folders.
    """
    meta, truth = _find_in_devkit(path, verify, ("meta.mat", "ILSVRC2012_validation_ground_truth.txt"))
    wnid_of = read_synsets(meta, path)
    wnids = tuple(sorted(wnid_of.values()))
    place_of = {number: wnids.index(wnid) for number, wnid in wnid_of.items()}
    labels = enumerate(_read_truth(truth, place_of, path), start=1)
    return {f"ILSVRC2012_val_{number:08d}.JPEG": label for number, label in labels}, wnids


def _find_in_devkit(path: Path, verify: bool, names: Sequence[str]) -> list[bytes]:
    """The files of these names in the devkit's `data/`."""
    size = path.stat().st_size
    if size > MOST_BYTES["devkit"]:
        raise RefusedFile(f"{path} is no devkit: it has {size:,} bytes", "give ILSVRC2012_devkit_t12.tar.gz")
    data = read_bytes(path)
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if verify and digest != MD5["devkit"]:
        raise _wrong_md5(path, digest, "devkit")
    file = io.BytesIO(data)
    read = gzip.GzipFile(fileobj=file).read if data.startswith(GZIP) else file.read
    contents: dict[str, bytes] = {}
    for member, opened, member_size in read_members(TarStream(read, str(path), MOST_BYTES["devkit"])):
        folder, _, name = member.rpartition("/")
        if folder.rpartition("/")[2] != "data" or name not in names:
            continue
        if name in contents:
            raise RefusedFile(f"{path} is refused: it holds data/{name} twice", FETCH_AGAIN)
        contents[name] = read_whole(opened, member_size, f"{path}: {member}")
    for name in names:
        if name not in contents:
            raise RefusedFile(f"{path} holds no data/{name}", "give ILSVRC2012_devkit_t12.tar.gz")
    return [contents[name] for name in names]


def read_synsets(data: bytes, path: Path) -> dict[int, str]:
    """WNIDs by ILSVRC id, of the bytes of the devkit's meta.mat in `path`; those that have children are no classes.

    Raises:
        RefusedFile: it is damaged, or not the devkit's.
    """
    from scipy.io import loadmat

    file: Any = io.BytesIO(data)  # scipy's annotations know paths only.
    try:
        rows = np.atleast_1d(loadmat(file, squeeze_me=True, variable_names=["synsets"])["synsets"])
        leaves = [row for row in rows if int(row["num_children"]) == 0]
        wnids = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in leaves}
    except Exception as error:
        # The parser is scipy's and the bytes may be hostile: whatever it raises is about the file.
        raise RefusedFile(f"meta.mat in {path} cannot be read ({type(error).__name__}: {error})", FETCH_AGAIN) from None
    if not wnids or len(wnids) != len(leaves) or len(set(wnids.values())) != len(wnids):
        raise RefusedFile(f"meta.mat in {path} numbers its classes twice, or has none", FETCH_AGAIN)
    return wnids


def _read_truth(data: bytes, place_of: Mapping[int, int], path: Path) -> Iterator[int]:
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip().isdigit() or int(line) not in place_of:
            shown = line[:40].decode(errors="replace")
            raise RefusedFile(f"ground truth in {path}, line {number}: '{shown}' is no class of meta.mat", FETCH_AGAIN)
        yield place_of[int(line)]
