"""What takes seconds to find out and is kept in the cache, where those who must be quick read it."""

import contextlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from seatrial.errors import StorageError
from seatrial.foreign.files import TEXT_BYTES, read_bytes
from seatrial.foreign.parse import parse_json
from seatrial.store.files import cache_folder, make_folder, replacing

LAYOUT = 2
"""Of what is stored of a library; another number reads none of it."""
ENGINES = "engines.json"
"""What the engines can do on this machine, in the cache."""


def describe_place(library: str, installed: str) -> Path:
    """Where the descriptions of a library's models are kept, of one of its versions."""
    return cache_folder() / f"{library}-{installed}-{LAYOUT}.json"


def read_described(library: str) -> dict[str, dict[str, Any]]:
    """The descriptions of an installed library's models; none where nobody has asked for them yet."""
    try:
        installed = version(library)
    except PackageNotFoundError:
        return {}
    found = read_cached(describe_place(library, installed))
    return found if isinstance(found, dict) else {}


def read_cached(path: Path) -> Any:
    """JSON out of the cache; None where there is none."""
    with contextlib.suppress(OSError, ValueError):
        return parse_json(read_bytes(path, TEXT_BYTES))
    return None


def keep_cached(path: Path, text: str) -> None:
    """Store JSON in the cache; where nothing can be stored it is found out each time."""
    with contextlib.suppress(StorageError, OSError):
        make_folder(path.parent)
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
