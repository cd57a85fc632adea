"""The kind of input at a path, by its content."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from seatrial.errors import UsageError
from seatrial.foreign.files import open_regular
from seatrial.store.imported import SPEED_RECORDS
from seatrial.store.record import read_json, read_kind

Comparable = Literal["predictions", "accuracy record", "speed record", "training speed", "run"]
TAKES = (
    "compare takes predictions (.parquet), records (.json) of `evaluate`, `bench`, `import-log` or "
    "`train --performance`, logs of the training guide ({CaseName}.log), or run folders"
)
_SCHEMAS: dict[str, Comparable] = {
    **dict.fromkeys(SPEED_RECORDS, "speed record"),
    "seatrial/accuracy": "accuracy record",
    "seatrial/training-speed": "training speed",
}


def detect_kind(paths: Sequence[Path]) -> Comparable:
    """What all of `paths` are.

    Raises:
        UsageError: one is missing or of no such kind, or they are of several kinds.
        RefusedFile: a JSON file is damaged.
    """
    kinds = {path: _detect_one(path) for path in paths}
    first, kind = next(iter(kinds.items()))
    other = next((path for path in paths if kinds[path] != kind), None)
    if other is not None:
        raise UsageError(
            f"{first} is {_article(kind)} and {other} {_article(kinds[other])}", "compare takes inputs of one kind"
        )
    return kind


def _article(kind: Comparable) -> str:
    return kind if kind == "predictions" else f"an {kind}" if kind[0] == "a" else f"a {kind}"


def _detect_one(path: Path) -> Comparable:
    if not path.exists():
        raise UsageError(f"{path} does not exist", TAKES)
    if path.is_dir():
        return _detect_folder(path)
    try:
        with open_regular(path) as file:
            head = file.read(64)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "check its permissions") from None
    if head.startswith(b"PAR1"):
        return "predictions"
    if re.match(rb"Network *=", head):
        return "training speed"
    if not head.lstrip().startswith(b"{"):
        raise UsageError(f"{path} is no record", TAKES)
    data = read_json(path)
    if read_kind(data) not in _SCHEMAS:
        raise UsageError(f"{path} is a {data.get('schema', 'JSON without a schema')}", TAKES)
    return _SCHEMAS[read_kind(data)]


def _detect_folder(path: Path) -> Comparable:
    if (path / "run.json").is_file():
        return "run"
    if (path / "engine.json").is_file():
        raise UsageError(f"{path} is an engine folder", "compare records of `seatrial evaluate` and `bench`")
    raise UsageError(f"{path} is a folder without run.json", TAKES)


def name_files(paths: Sequence[Path]) -> tuple[str, ...]:
    """File or folder names without suffix; where two are the same, from the first folder that differs."""
    whole = [path.resolve() if path.is_dir() else path.resolve().with_suffix("") for path in paths]
    if len({path.name for path in whole}) == len(whole):
        return tuple(path.name for path in whole)
    if len(set(whole)) < len(whole):
        return tuple(str(path) for path in paths)
    above = Path(os.path.commonpath([str(path.parent) for path in whole]))
    return tuple(path.relative_to(above).as_posix() for path in whole)
