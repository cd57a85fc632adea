"""Files that are an engine's input as they are, `.bin` and `.npy`, found and cut as the guides' tools do it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.data.bins.info_file import InfoLine, is_info, read_info
from seatrial.data.image_files import is_image_name
from seatrial.data.labels import list_images, refuse_left_out
from seatrial.data.names import index_unique, split_digits
from seatrial.errors import DataError, UsageError, cannot_read
from seatrial.foreign.files import open_regular
from seatrial.store.records import TensorSpec

ARRAYS = (".npy", ".NPY")
RAW = (*ARRAYS, ".bin", ".BIN")
"""Whatever else a list of files names counts as bytes, too."""
WIDER = {2: "float16", 4: "float32", 8: "float64"}
"""Numbers of so many bytes that an image may have been written in by mistake."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files to feed, in the order in which they are fed."""

    files: tuple[Path, ...]
    are_images: bool
    """JPEG and the like, still to be preprocessed."""
    info: tuple[InfoLine, ...] = ()
    """Their lines of an `.info` file, where there is one."""


def find_inputs(source: str) -> Inputs:
    """The files that `--input` means: a folder, in natural order, an `.info` file, or names with commas between them.

    Raises:
        UsageError: no file is named, a list names a folder, or raw files and images come together.
        DataError: something is not there, a folder holds nothing to feed, or two files' outputs would have one name.
    """
    whole = Path(source)
    info: tuple[InfoLine, ...] = ()
    if whole.is_dir():
        files = _list_folder(whole)
    elif source.endswith(".info") or is_info(whole):
        info = read_info(whole)
        files = [Path(line.path) for line in info]
    else:
        files = [whole] if whole.exists() else [Path(name) for name in source.split(",") if name]
    for path in files:
        if path.is_dir():
            raise UsageError(f"--input {source} names the folder {path} in a list", "one input takes one folder")
        if not path.exists():
            raise DataError(f"input {path} is not there", "check --input")
    kinds = {is_image_name(path.name) for path in files}
    if len(kinds) != 1:
        state = "both images and raw files" if kinds else "no file"
        raise UsageError(f"--input {source} gives {state}", "give files of one kind")
    index_unique(
        files,
        lambda path: path.name.split(".")[0],
        lambda name, a, b: DataError(f"the outputs of {a} and {b} would both be called {name}", "rename one of them"),
    )
    return Inputs(tuple(files), kinds.pop(), info)


def sort_naturally(paths: Sequence[Path]) -> list[Path]:
    """Sorted by name, digits compared as numbers and letters without case."""
    return sorted(sorted(paths), key=lambda path: split_digits(path.name.lower()))


def count_images(files: Sequence[Path], spec: TensorSpec, batch_size: int, fix: str) -> int:
    """How many images each file holds, all of them as many; a batch is made of whole files.

    Args:
        fix: what brings files that fit, for the message.

    Raises:
        DataError: a batch is not made of files of this size (in the tool's own words), a file may be one image of wider
            numbers as well as several images, or one is of another size than the first.
    """
    number_bytes = np.dtype(spec.dtype).itemsize
    image_bytes = number_bytes * prod(size or 1 for size in spec.shape[1:])
    first, file_bytes = files[0], measure_file(files[0])
    takes = f"{spec.dtype} {'×'.join(map(str, spec.shape[1:]))}, {image_bytes} bytes an image"
    if file_bytes == 0 or batch_size * image_bytes % file_bytes or file_bytes % image_bytes:
        sizes = f"arg0 tensorsize: {batch_size * image_bytes} filesize: {file_bytes} not match"
        raise DataError(f"{sizes}: {first} is no whole part of a batch of {batch_size} ({takes})", fix)
    count = file_bytes // image_bytes
    if count > 1 and count * number_bytes in WIDER and first.suffix not in ARRAYS:
        raise DataError(
            f"{first} is as large as one image in {WIDER[count * number_bytes]}, and the engine takes {takes}",
            f"{fix}; several images in one file must be an .npy file, which says what it holds",
        )
    for path in files:
        if measure_file(path) != file_bytes:
            raise DataError(
                f"{path} holds {measure_file(path)} bytes, {first} holds {file_bytes}", "give files of one size"
            )
    return count


def measure_file(path: Path) -> int:
    """The bytes of a file's numbers: of an `.npy` without its header.

    Raises:
        DataError: it is no such file.
    """
    return _open_array(path).nbytes if path.suffix in ARRAYS else path.stat().st_size


def read_images(path: Path, rows: NDArray[Any]) -> None:
    """Fill `rows`, (images, …) as an engine takes them, with those of one file.

    Raises:
        DataError: an `.npy` is of another dtype or its axes are others, or the file changed or went away meanwhile.
    """
    if path.suffix not in ARRAYS:
        try:
            with open_regular(path) as file:
                whole = file.readinto(rows.data) == rows.nbytes and not file.read(1)
        except OSError as error:
            raise cannot_read(str(path), error) from None
    else:
        array = _open_array(path)
        axes, wanted = ([size for size in sizes if size != 1] for sizes in (array.shape, rows.shape[1:]))
        if array.dtype != rows.dtype or (len(axes) > 1 and axes[-len(wanted) :] != wanted):
            shape, takes = ("×".join(map(str, sizes)) for sizes in (array.shape, rows.shape[1:]))
            raise DataError(f"{path} holds {array.dtype} {shape}, the engine takes {rows.dtype} {takes}", "convert it")
        whole = array.size == rows.size
        if whole:
            rows[:] = array.reshape(rows.shape)
    if not whole:
        raise DataError(f"{path} changed while it was in use", "run again")


def _list_folder(folder: Path) -> list[Path]:
    files = [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and (path.suffix in RAW or is_image_name(path.name))
    ]
    if not files:
        files = list_images(folder)  # Class folders, or one that holds the images.
    else:
        refuse_left_out(folder, {path.name for path in files})
    if not files:
        raise DataError(f"{folder} holds no .npy, .bin or image files", "give --input another folder")
    return sort_naturally(files)


def _open_array(path: Path) -> NDArray[Any]:
    try:
        open_regular(path).close()
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is no .npy file that can be read ({error})", "write it with numpy.save") from None
    return array
