"""What a reader is asked, what it answers, and the steps that readers share."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seatrial.bench.vendor_logs.log import Found, Log
from seatrial.errors import NotComparable, RefusedFile, UsageError
from seatrial.store.imported import ImportedPoint


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says about a log, for what it does not tell itself."""

    batch_size: int | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one log told."""

    points: tuple[ImportedPoint, ...]
    tool_version: str | None = None
    model: str | None = None
    device: str | None = None
    precision: str | None = None
    doubts: tuple[str, ...] = ()
    one_chip: bool = False
    """The tool times chips, of which a card may have several."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How the logs of one tool are read."""

    marks: str
    """A regular expression found in every log of this tool, even in one cut short, and in no other's."""
    read: Callable[[Log, Asked], Reading]
    own_error: str
    """A regular expression whose group is the tool's own words on why it failed."""


def lines_of(**figures: Found | tuple[Found | None, ...] | None) -> dict[str, tuple[int, ...]]:
    """Where figures stand, by their names; what was not found is left out."""
    rows = {name: found if isinstance(found, tuple) else (found,) for name, found in figures.items()}
    told = {name: tuple(one.line for one in found if one is not None) for name, found in rows.items()}
    return {name: lines for name, lines in told.items() if lines}


def settle_batch(log: Log, told: int | None, line: int | None, asked: Asked) -> int:
    """The batch size that the log tells, or else the user.

    Raises:
        UsageError: nobody tells it, or they contradict each other.
    """
    if told is None:
        if asked.batch_size is None:
            raise UsageError(f"{log.name} does not tell the batch size", "give it with --batch-size")
        return asked.batch_size
    if asked.batch_size not in (None, told):
        where = f" (line {line})" if line else ""
        raise UsageError(f"{log.name} is of batch size {told}{where}, not of --batch-size {asked.batch_size}")
    return told


def read_count(log: Log, found: Found, index: int = 0) -> int:
    """A whole number above 0.

    Raises:
        RefusedFile: something else stands there.
    """
    value = found.figure(index)
    if not value.is_integer() or value < 1:
        raise RefusedFile(
            f"{log.name} line {found.line} says {found.words[index]} where a whole number above 0 belongs"
        )
    return int(value)


def read_rate(log: Log, found: Found, index: int = 0) -> float:
    """A figure above 0.

    Raises:
        RefusedFile: it is not.
    """
    value = found.figure(index)
    if not 0 < value < math.inf:
        raise RefusedFile(f"{log.name} line {found.line} says {found.words[index]} where a figure above 0 belongs")
    return value


def read_object(log: Log) -> dict[str, Any]:
    """The JSON object that a file is.

    Raises:
        RefusedFile: it is no JSON, or another value.
    """
    value = log.parse_json(log.text)
    if not isinstance(value, dict):
        raise RefusedFile(f"{log.name} holds no JSON object", "give the file that the tool wrote")
    return value


def read_value(log: Log, values: Mapping[str, Any], key: str, zero: bool = False) -> float:
    """A figure above 0, or 0 itself with `zero`, out of JSON or CSV, where it may be written as text.

    Raises:
        RefusedFile: it is missing, or something else stands there.
    """
    if key not in values:
        raise RefusedFile(f"{log.name} has no '{key}'", "give the whole file")
    try:
        value = float(values[key])
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < math.inf or (value == 0 and not zero):
        line = log.locate(key)
        raise RefusedFile(f"{log.name} line {line} has {values[key]!r} as '{key}', where a figure above 0 belongs")
    return value


def join_runs(log: Log, runs: Sequence[Reading]) -> Reading:
    """Several runs out of one file as one reading.

    Raises:
        NotComparable: they are of several versions, devices or precisions.
    """
    first = runs[0]
    for run in runs[1:]:
        for what in ("tool_version", "device", "precision"):
            one, other = getattr(first, what), getattr(run, what)
            if one != other:
                raise NotComparable(
                    f"{log.name} holds runs of {what.replace('_', ' ')} {one or 'not told'} and {other or 'not told'}",
                    "cut it into files and import each on its own",
                )
    models = {run.model for run in runs}
    return replace(
        first,
        points=tuple(point for run in runs for point in run.points),
        model=first.model if len(models) == 1 else None,
        doubts=tuple(doubt for run in runs for doubt in run.doubts),
    )
