"""An engine folder sent to machines that do not have it: kept there under the sha256 of its manifest."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from seatrial.engines.base import MANIFEST, EngineFile, read_engine
from seatrial.errors import RefusedFile, SeatrialError
from seatrial.store.files import cache_folder, hash_bytes, lock_file, make_folder, replacing

PackedEngine = dict[str, bytes]
"""The files of an engine folder by their names in it; the sha256 of its manifest is that of all."""


def list_parts(file: EngineFile) -> dict[str, Path]:
    """Everything that belongs to an engine folder, and nothing else that lies there, by its name in it."""
    names = (MANIFEST, *(model.path for model in file.manifest.files), *file.manifest.companions)
    return {name: file.folder.absolute() / name for name in names}


def find_engine(folder: Path, sha256: str, fetch: Callable[[], PackedEngine], cache: Path | None = None) -> EngineFile:
    """The engine folder with that manifest: `folder` if it is here too, else what `fetch` brings, kept for the next.

    Args:
        cache: where machines keep what was sent; None is `$XDG_CACHE_HOME/seatrial/engines`.

    Raises:
        RefusedFile: what was sent does not match its manifest.
        StorageError: it cannot be written.
    """
    own = folder / MANIFEST
    if own.is_file() and hash_bytes(own.read_bytes()) == sha256:
        return read_engine(folder)
    root = make_folder(cache or cache_folder() / "engines")
    target = root / sha256 / folder.name
    # Other actors of this machine wait here while one writes.
    with lock_file(root / f"{sha256}.lock", "", wait=True):
        with contextlib.suppress(SeatrialError):
            return read_engine(target)
        return _unpack(fetch(), sha256, target)


def _unpack(packed: PackedEngine, sha256: str, target: Path) -> EngineFile:
    if hash_bytes(packed[MANIFEST]) != sha256:
        raise RefusedFile(f"engine {target.name} has changed since the evaluation began", "run the same command again")
    with replacing(target) as temporary:
        for name, data in packed.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(data)
    return read_engine(target)
