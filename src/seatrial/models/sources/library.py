"""What an installed library says of its models, kept under the library's version, as importing it takes seconds."""

import contextlib
import json
import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from seatrial.errors import EngineError, StorageError
from seatrial.store.files import make_folder, replacing

Descriptions = dict[str, dict[str, Any]]
"""By the name of a model, its description in JSON."""
LAYOUT = 2
"""Of what is stored; another number reads none of it."""


def read_version(library: str, extra: str = "torch") -> str:
    """The version of an installed library.

    Raises:
        EngineError: it is not installed; names the extra that brings it.
    """
    try:
        return version(library)
    except PackageNotFoundError:
        fix = f"pip install 'seatrial[{extra}]'"
        raise EngineError(f"{library}, which describes this model, is not installed", fix) from None


def load_descriptions(library: str, describe: Callable[[], Descriptions]) -> Descriptions:
    """What `describe` says of the installed `library`, or said before.

    Raises:
        EngineError: the library is not installed.
    """
    path = cache_folder() / f"{library}-{read_version(library)}-{LAYOUT}.json"
    with contextlib.suppress(OSError, ValueError):
        stored: Descriptions = json.loads(path.read_text(encoding="utf-8"))
        return stored
    text = json.dumps(describe())
    # Where nothing can be stored it is worked out each time.
    with contextlib.suppress(StorageError, OSError):
        make_folder(path.parent)
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    loaded: Descriptions = json.loads(text)
    return loaded


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/seatrial`: what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seatrial"
