"""Stored JSON edited by hand: a record keeps a checksum that matches, so that only what it says is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seatrial.store.record import CHECKSUM, find_checksum


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Let `change` alter the JSON object in `path` in place; a checksum that stands in it is made to match again."""
    data = json.loads(path.read_text())
    change(data)
    if CHECKSUM in data:
        data[CHECKSUM] = find_checksum(data)
    path.write_text(json.dumps(data))


def edit_record(path: Path, **changes: Any) -> None:
    """Set keys of the record in `path`; a checksum that stands in it is made to match again."""
    edit_json(path, lambda data: data.update(changes))


def replace_in_record(path: Path, old: str, new: str) -> None:
    """Replace a text wherever it stands in the record in `path`; its checksum is made to match again."""
    path.write_text(path.read_text().replace(old, new))
    edit_json(path, lambda data: None)


def read_unsealed(path: Path) -> dict[str, Any]:
    """What the record in `path` says, without its checksum: what `--json` prints of it."""
    data: dict[str, Any] = json.loads(path.read_text())
    del data[CHECKSUM]
    return data
