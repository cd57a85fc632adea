"""The bytes of a checkpoint file to plain Python values and tensors, without ever running code from the file.

Three formats are read, recognised by their first bytes and never by the suffix: safetensors, torch's zip archive and
torch's older pickle stream. torch checks that every storage has the bytes it declares, but neither it nor safetensors
checks any checksum: a zip archive has one, so here a flipped bit is found; in the other two formats it cannot be.
"""

import os
import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn

import torch
from safetensors.torch import load_file

from seatrial.errors import RefusedFile, SeatrialError, UsageError
from seatrial.foreign.files import open_regular

Format = Literal["safetensors", "torch zip", "torch pickle"]

LONGEST_HEADER = 100_000_000
"""Bytes; safetensors' own limit."""
FETCH_AGAIN = "fetch the file again"
SAVE_STATE = "save only the weights, with `torch.save({'state_dict': model.state_dict()}, FILE)`"

STRANGERS = (
    (b"version https://git-lfs.github.com/", "is a Git LFS pointer, not the weights", "run `git lfs pull` beside it"),
    (b"<", "is a web page, not a checkpoint: its download went wrong", FETCH_AGAIN),
)
"""What people have instead of a checkpoint: first bytes, what it is, what to do."""


class Unread:
    """Stands in for an object that old training loops put beside the weights; takes anything, keeps nothing."""

    def __new__(cls, *_: Any) -> "Unread":
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None:
        pass


UNREAD: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (Unread, "argparse.Namespace"),
    (Unread, "numpy.dtype"),
    (Unread, "numpy.core.multiarray.scalar"),
    (Unread, "numpy._core.multiarray.scalar"),
]
"""All that a file may contain beside what torch allows, such as `args` of timm's and numpy's best accuracy."""


@dataclass(frozen=True, slots=True)
class Content:
    """What was read from a file."""

    value: Any
    """Usually a mapping; nothing about it is checked yet."""
    format: Format


def read_content(path: Path) -> Content:
    """Read a checkpoint file; tensors come to host memory.

    Raises:
        UsageError: there is no such file, it is a folder, or it may not be read.
        RefusedFile: it is damaged, no checkpoint, or would need code from the file to be run.
    """
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise UsageError(f"there is no checkpoint {path}", "give --checkpoint FILE") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder", "name the checkpoint file in it") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "check its permissions") from None
    with file:
        kind = _detect(path, file.read(512))
        file.seek(0)
        try:
            return Content(_read(kind, path, file), kind)
        except SeatrialError:
            raise
        except Exception as error:
            # The parsers are other people's and the bytes may be hostile: whatever they raise is about the file.
            _refuse_unreadable(path, error)


def _detect(path: Path, head: bytes) -> Format:
    # First, since the length that a safetensors file begins with may be spelt like the other formats' magic bytes.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LONGEST_HEADER:
        return "safetensors"
    if head.startswith(b"PK"):
        return "torch zip"
    if head.startswith(b"\x80"):
        return "torch pickle"
    if not head:
        raise RefusedFile(f"{path} is empty", FETCH_AGAIN)
    for start, what, fix in STRANGERS:
        if head.lstrip().startswith(start):
            raise RefusedFile(f"{path} {what}", fix)
    if head[257:262] == b"ustar":
        raise RefusedFile(
            f"{path} is a tar archive; torch's own from before 2017 cannot be read without running code from it",
            f"if it contains a checkpoint, unpack it; if it is one, {SAVE_STATE}",
        )
    raise RefusedFile(
        f"{path} is no checkpoint (it begins with {head[:8].hex(' ')})", "safetensors and torch.save's files are"
    )


def _read(kind: Format, path: Path, file: BinaryIO) -> Any:
    if kind == "safetensors":
        return load_file(path)
    if kind == "torch zip":
        _check_archive(path, file)
        file.seek(0)
    # What torch warns about (other pickle protocols, sparse tensors) is refused right afterwards.
    with warnings.catch_warnings(), torch.serialization.safe_globals(UNREAD):
        warnings.simplefilter("ignore")
        return torch.load(file, map_location="cpu", weights_only=True)


def _check_archive(path: Path, file: BinaryIO) -> None:
    """Check every record against its CRC, which torch.load does not."""
    with zipfile.ZipFile(file) as archive:
        records = archive.infolist()
        names = {record.filename.rpartition("/")[2] for record in records}
        if "constants.pkl" in names:
            raise RefusedFile(f"{path} is a TorchScript program, not weights", SAVE_STATE)
        if names and all(name.endswith(".npy") for name in names):
            fix = "where it is JAX's, take the library's own conversion, such as the model's .safetensors"
            raise RefusedFile(f"{path} is a NumPy archive (.npz), not one of torch.save's", fix)
        if "data.pkl" not in names:
            raise RefusedFile(f"{path} is a zip archive, but not one of torch.save's", "unpack it first")
        stored = sum(record.file_size for record in records)
        if stored > os.fstat(file.fileno()).st_size or any(record.compress_type for record in records):
            raise RefusedFile(f"{path} is compressed or overlaps itself, which torch.save never does", FETCH_AGAIN)
        damaged = archive.testzip()
    if damaged is not None:
        raise RefusedFile(f"{path} is damaged: the checksum of its record {damaged!r} is wrong", FETCH_AGAIN)


def _refuse_unreadable(path: Path, error: Exception) -> NoReturn:
    wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
    if wanted is not None:
        raise RefusedFile(
            f"{path} is not only weights: reading it would run '{wanted[1]}' from the file, which is not safe",
            f"where you trust it, {SAVE_STATE}",
        ) from None
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    if text.startswith("Unsupported operand"):
        raise RefusedFile(
            f"{path} is pickled otherwise than torch.save does by default (protocol 4, objects of its own), and is not "
            "read without running it",
            SAVE_STATE,
        ) from None
    reason = text.partition("\n")[0] or type(error).__name__
    raise RefusedFile(f"{path} is cut off, damaged or not only weights ({reason})", FETCH_AGAIN) from None
