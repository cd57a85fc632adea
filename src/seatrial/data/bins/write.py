"""Images to headerless `.bin` files, one each, as the guides' inference tools read them.

A folder of bins goes on where it was stopped. Its `bins.json` says which preprocessing it is for, and each bin carries
its image's time of change: a bin of the right size and that time is kept, if it and its image have the bytes that
`bins.contents` says.
"""

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from seatrial.data.bins.contents import CONTENTS, BinContent, append_content, read_contents, tidy_contents
from seatrial.data.images import PreparedInput
from seatrial.data.loading.prefetch import load_ahead
from seatrial.data.loading.worker_process import start_process
from seatrial.data.names import index_unique
from seatrial.data.preprocessing.decode import read_file
from seatrial.data.preprocessing.input_pipeline import decode_pixels
from seatrial.data.preprocessing.steps import normalise
from seatrial.data.preprocessing.yuv import PixelFormat, hash_pixels, pack_yuv420sp
from seatrial.errors import DataError, SeatrialError, StorageError, UsageError
from seatrial.foreign.files import read_bytes
from seatrial.machine.allocator import kept_heap
from seatrial.progress import Progress, Update, silent
from seatrial.recipes.schema import Mode
from seatrial.recipes.steps import dump_steps
from seatrial.store.files import describe_os_error, locked
from seatrial.store.record import Record

MANIFEST = "bins.json"
PART = ".part"
"""Ends the name of a bin that is being written: no tool takes it for one."""
CHUNK = 16
"""Images handed to a process at a time."""


class BinManifest(Record):
    """What every bin of a folder is: its `bins.json`."""

    schema_: Literal["seatrial/bins/1"] = Field(default="seatrial/bins/1", alias="schema")
    preprocess_hash: str
    steps: tuple[dict[str, Any], ...]
    dtype: Literal["uint8", "float32"]
    layout: Literal["HWC", "CHW", "YUV420SP"]
    height: int
    width: int
    file_bytes: int
    recipe: str = ""
    """The model reference that they were written for, as it was given; empty where nobody noted it."""

    @property
    def form(self) -> PreparedInput:
        """What the bytes of each bin are."""
        height, width = self.height, self.width
        channels = self.file_bytes // (height * width * (4 if self.dtype == "float32" else 1))
        shapes = {
            "HWC": (height, width, channels),
            "CHW": (channels, height, width),
            "YUV420SP": (height * 3 // 2, width, 1),
        }
        return PreparedInput(self.dtype, shapes[self.layout], self.preprocess_hash)


@dataclass(frozen=True, slots=True)
class BinReport:
    """How many bins `write_bins` wrote and kept, and how fast."""

    folder: Path
    manifest: BinManifest
    written: int
    kept: int
    """Bins that an earlier run had written."""
    strays: tuple[str, ...]
    """Names in the folder that belong to none of the images."""
    wall_s: float
    """From the first file looked at to the last one renamed."""


@dataclass(frozen=True, slots=True)
class BinForm:
    """What every bin of a folder holds."""

    mode: Mode
    pixels: PixelFormat = "rgb"
    recipe: str = ""
    """The model reference that the mode is of, for the manifest."""

    def __post_init__(self) -> None:
        if self.pixels == "rgb":
            return
        if self.mode.dtype != "uint8":
            raise UsageError(
                f"format {self.pixels} is for modes that write pixels, and this one writes normalised floats",
                "give --mode one of the card's uint8 modes",
            )
        height, width = self.mode.input_size
        if height % 2 or width % 2:
            raise UsageError(
                f"format {self.pixels} needs even sizes, and the mode gives {height}×{width}", "choose another --mode"
            )


def write_bins(
    form: BinForm, images: Sequence[Path], target: Path, decode_workers: int, progress: Progress = silent
) -> BinReport:
    """Write one `.bin` for each image, named up to the first dot, in `decode_workers` processes, this one included.

    A bin is written beside its name, its size checked, and renamed; an fsync of each would cost a quarter of the speed.

    Raises:
        DataError: a file is no image, two images have one bin's name, the folder is for another preprocessing,
            or a process was killed.
        UsageError: `target` holds something else.
        RunInUse: another process writes there.
        StorageError: the disk is full or may not be written.
    """
    start = time.perf_counter()
    manifest = describe_bins(form)
    wanted = name_bins(images)
    with locked(target):
        have = _open_folder(target, manifest)
        kept_names = _find_kept(wanted, have, target, manifest, decode_workers, progress)
        todo = [(path, name) for name, path in wanted.items() if name not in kept_names]
        strays = tuple(sorted(have.keys() - wanted.keys()))
        if strays:
            shown = ", ".join(strays[:3]) + (", …" if len(strays) > 3 else "")
            progress(Update("preprocess", note=f"{len(strays)} files of {target} belong to no image: {shown}"))
        kept = len(wanted) - len(todo)
        if kept:
            progress(Update("preprocess", note=f"already written: {kept} of {len(wanted)} files"))
        done = 0
        # Closed, so that no process writes on when the lock is let go of.
        with kept_heap(), closing(_write_all(todo, target, form, decode_workers)) as counts:
            for count in counts:
                done += count
                rate = done / (time.perf_counter() - start)
                progress(Update("preprocess", kept + done, len(wanted), "images", {"images/s": f"{rate:.0f}"}))
        tidy_contents(target, read_contents(target), {*have, *wanted})
    return BinReport(target, manifest, len(todo), kept, strays, time.perf_counter() - start)


def name_bins(images: Sequence[Path]) -> dict[str, Path]:
    """Images by the name of their bin: up to the first dot, then `.bin`.

    Raises:
        DataError: there are no images, or two have one name.
    """
    if not images:
        raise DataError("there are no images to preprocess", "give a folder of image files")
    return index_unique(
        images,
        lambda path: f"{path.name.split('.')[0]}.bin",
        lambda name, a, b: DataError(f"{a} and {b} would both become {name}", "rename one of them"),
    )


def encode_bytes(data: bytes, name: str, form: BinForm) -> NDArray[np.uint8] | NDArray[np.float32]:
    """An image file as its bin holds it: uint8 HWC, YUV420SP (height · 3/2, width), or float32 CHW.

    Raises:
        DataError: the bytes are no image; names `name`.
    """
    if form.pixels != "rgb":
        pixels = decode_pixels(data, name, form.mode.preprocess, True)
        return pack_yuv420sp(pixels, nv21=form.pixels.endswith("nv21"))
    pixels = decode_pixels(data, name, form.mode.preprocess)
    return pixels if form.mode.dtype == "uint8" else normalise(pixels[None], form.mode)[0]


def describe_bins(form: BinForm) -> BinManifest:
    """The manifest of a folder of such bins."""
    mode, is_rgb = form.mode, form.pixels == "rgb"
    height, width = mode.input_size
    numbers = height * width * mode.channels if is_rgb else height * width * 3 // 2
    return BinManifest(
        preprocess_hash=hash_pixels(mode.preprocess, form.pixels),
        steps=tuple(dump_steps(mode.preprocess)),
        dtype=mode.dtype,
        layout=mode.layout if is_rgb else "YUV420SP",
        height=height,
        width=width,
        file_bytes=numbers * np.dtype(mode.dtype).itemsize,
        recipe=form.recipe,
    )


def _open_folder(target: Path, manifest: BinManifest) -> dict[str, os.stat_result]:
    """What lies in the folder, by name, once it is known to be for this preprocessing; begun bins are removed."""
    for begun in target.glob(f".*{PART}"):
        begun.unlink()
    tidy_contents(target, contents := read_contents(target), contents)
    have = {entry.name: entry.stat() for entry in os.scandir(target) if not entry.name.startswith(".")}
    have.pop(CONTENTS, None)
    if MANIFEST not in have and have:
        raise UsageError(f"{target} holds other files, such as '{min(have)}'", "give a new or an empty folder")
    if MANIFEST in have:
        stored = BinManifest.load(target / MANIFEST)
        del have[MANIFEST]
        if stored.preprocess_hash == manifest.preprocess_hash:
            return have
        if have:
            raise DataError(
                f"{target} holds files of another preprocessing ({stored.dtype} {stored.height}×{stored.width}, "
                f"{stored.preprocess_hash[:8]} against {manifest.preprocess_hash[:8]})",
                "give another folder, or empty this one",
            )
    manifest.save(target / MANIFEST)
    return have


def _find_kept(
    wanted: Mapping[str, Path],
    have: Mapping[str, os.stat_result],
    target: Path,
    manifest: BinManifest,
    decode_workers: int,
    progress: Progress,
) -> set[str]:
    """Names of the bins that need not be written again: they, and the images that they were made of, are the same."""
    contents = read_contents(target)
    quick = [name for name, path in wanted.items() if name in contents and _is_current(have.get(name), path, manifest)]

    def is_same(name: str) -> bool:
        try:
            return BinContent.of(read_bytes(target / name), read_bytes(wanted[name])) == contents[name]
        except OSError:
            return False  # Reading it raises the error.

    kept: set[str] = set()
    with closing(load_ahead(quick, is_same, decode_workers, 4 * decode_workers)) as results:
        for number, (name, same) in enumerate(zip(quick, results, strict=True), start=1):
            kept |= {name} if same else set()
            if number % CHUNK == 0:
                progress(Update("preprocess", number, len(quick), "files checked"))
    changed = [name for name in quick if name not in kept]
    if changed:
        note = f"{len(changed)} of {len(quick)} files, or their images, have changed since they were written"
        progress(Update("preprocess", note=f"{note} (first {changed[0]}): they are written again"))
    return kept


def _is_current(bin_file: os.stat_result | None, image: Path, manifest: BinManifest) -> bool:
    if bin_file is None or bin_file.st_size != manifest.file_bytes:
        return False
    try:
        return image.stat().st_mtime_ns == bin_file.st_mtime_ns
    except OSError:
        return False  # Reading it raises the error.


def _write_all(todo: Sequence[tuple[Path, str]], target: Path, form: BinForm, decode_workers: int) -> Generator[int]:
    """Write the bins, in this process and in others, and yield the size of each finished chunk."""
    chunks = deque(todo[i : i + CHUNK] for i in range(0, len(todo), CHUNK))
    others = min(decode_workers, len(chunks)) - 1
    if others <= 0:
        yield from (_write_chunk(chunk, target, form) for chunk in chunks)
        return
    waiting: deque[Future[int]] = deque()
    # A forked process could inherit a lock that another thread of ours holds.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(others, spawn, initializer=start_process) as pool:
        try:
            while chunks or waiting:
                while chunks and len(waiting) < 2 * others:
                    waiting.append(pool.submit(_write_chunk, chunks.popleft(), target, form))
                if chunks:
                    # The others take half a second to start; meanwhile, and later too, this one does its share.
                    yield _write_chunk(chunks.popleft(), target, form)
                while waiting and (waiting[0].done() or not chunks):
                    yield waiting.popleft().result()
        except BrokenProcessPool:
            fix = "memory may have run out: run it again with fewer --workers; what is written is kept"
            raise DataError(f"a process that wrote to {target} was killed", fix) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _write_chunk(chunk: Sequence[tuple[Path, str]], target: Path, form: BinForm) -> int:
    for image, name in chunk:
        try:
            _write_bin(image, target / name, form)
        except SeatrialError:
            raise
        except Exception as error:
            error.add_note(f"while preprocessing {image}")
            raise
    return len(chunk)


def _write_bin(image: Path, target: Path, form: BinForm) -> None:
    # Before the bytes are read: an image that changes meanwhile is made again. Reading says why one is not there.
    changed = image.stat().st_mtime_ns if image.exists() else 0
    data = read_file(image)
    numbers = encode_bytes(data, str(image), form)
    part = target.with_name(f".{target.name}{PART}")
    try:
        with part.open("wb", buffering=0) as file:
            file.write(numbers.data)
            if os.fstat(file.fileno()).st_size != numbers.nbytes:
                raise StorageError(f"{part} was cut off while it was written", "make room and run again")
        os.utime(part, ns=(changed, changed))
        append_content(target.parent, target.name, BinContent.of(numbers.data, data))
        part.rename(target)
    except OSError as error:
        raise describe_os_error(error, target) from None
