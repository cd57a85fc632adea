"""What a reader takes and returns, the steps that readers share, and reasons to doubt figures of whichever tool."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from seatrial.bench.spread import NOISE, P99_SAMPLES
from seatrial.bench.vendor_logs.log import AS_PRINTED, LineMatch, LogText
from seatrial.errors import NotComparable, RefusedFile, UsageError
from seatrial.store.imported import ImportedPoint

SHARE_99 = 99.0
TOO_FAST = 1.05
"""A rate above what the time of each batch allows by more than this is impossible."""
WAITING = 0.8
"""Below this share of it, batches were waited for."""
_PART = re.compile(r"([_-]?(bs|batch|b)[_-]?\d+)?(\.(om|onnx|prototxt|xml|engine|plan|trt))?$")
"""What the name of a model's file has beside the network's: its batch size and its kind."""


@dataclass(frozen=True, slots=True)
class LogHints:
    """What the user adds to a log that does not state it."""

    batch_size: int | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """The figures and facts of one log."""

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
    """A regular expression that matches in every log of this tool, even in one cut short, and in no other's."""
    read: Callable[[LogText, LogHints], Reading]
    own_error: str
    """A regular expression whose group is the tool's own error."""


def lines_of(**figures: LineMatch | tuple[LineMatch | None, ...] | None) -> dict[str, tuple[int, ...]]:
    """Line numbers of figures, by their names; a figure without a line is left out."""
    rows = {name: matches if isinstance(matches, tuple) else (matches,) for name, matches in figures.items()}
    numbers = {name: tuple(match.line for match in matches if match is not None) for name, matches in rows.items()}
    return {name: lines for name, lines in numbers.items() if lines}


def settle_batch(log: LogText, stated: int | None, line: int | None, hints: LogHints) -> int:
    """The batch size that the log states, or else the hints.

    Raises:
        UsageError: neither has it, or they contradict each other.
    """
    if stated is None:
        if hints.batch_size is None:
            raise UsageError(f"{log.name} does not state the batch size", "give it with --batch-size")
        return hints.batch_size
    if hints.batch_size not in (None, stated):
        where = f" (line {line})" if line else ""
        raise UsageError(
            f"{log.name} is of batch size {stated}{where}, not of --batch-size {hints.batch_size}", "leave it out"
        )
    return stated


def read_count(log: LogText, match: LineMatch, index: int = 0) -> int:
    """A whole number above 0.

    Raises:
        RefusedFile: it is something else.
    """
    value = match.figure(index)
    if not value.is_integer() or value < 1:
        raise RefusedFile(
            f"{log.name} line {match.line} has {match.words[index]}, not a whole number above 0", AS_PRINTED
        )
    return int(value)


def read_rate(log: LogText, match: LineMatch, index: int = 0) -> float:
    """A figure above 0.

    Raises:
        RefusedFile: it is not.
    """
    value = match.figure(index)
    if not 0 < value < math.inf:
        raise RefusedFile(f"{log.name} line {match.line} has {match.words[index]}, not a figure above 0", AS_PRINTED)
    return value


def read_object(log: LogText) -> dict[str, Any]:
    """The JSON object that a file is.

    Raises:
        RefusedFile: it is no JSON, or another value.
    """
    value = log.parse_json(log.text)
    if not isinstance(value, dict):
        raise RefusedFile(f"{log.name} has no JSON object", "give the file that the tool wrote")
    return value


def read_value(log: LogText, values: Mapping[str, Any], key: str, zero: bool = False) -> float:
    """A figure above 0, or 0 itself with `zero`, out of JSON or CSV, where it may be written as text.

    Raises:
        RefusedFile: it is missing, or something else.
    """
    if key not in values:
        raise RefusedFile(f"{log.name} has no '{key}'", "give the complete file")
    try:
        value = float(values[key])
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < math.inf or (value == 0 and not zero):
        line = log.locate(key)
        raise RefusedFile(f"{log.name} line {line} has {values[key]!r} as '{key}', not a figure above 0", AS_PRINTED)
    return value


def join_runs(log: LogText, runs: Sequence[Reading]) -> Reading:
    """Several runs out of one file as one reading.

    Raises:
        NotComparable: they are of several versions, devices or precisions.
    """
    first = runs[0]
    for run in runs[1:]:
        for what in ("tool_version", "device", "precision"):
            one, other = (getattr(each, what) or "not stated" for each in (first, run))
            if one != other:
                raise NotComparable(
                    f"{log.name} has runs of {what.replace('_', ' ')} {one} and {other}",
                    "split it into files and import each on its own",
                )
    models = {run.model for run in runs}
    return replace(
        first,
        points=tuple(point for run in runs for point in run.points),
        model=first.model if len(models) == 1 else None,
        doubts=(*(doubt for run in runs for doubt in run.doubts), *doubt_models([run.model for run in runs])),
    )


def doubt_models(models: Sequence[str | None]) -> Iterator[str]:
    """Model files of several networks, whatever batch size each was built for: figures of one batch are averaged."""
    names = dict.fromkeys(_PART.sub("", PurePath(model).name) for model in models if model)
    if len(names) > 1:
        yield f"the logs name several models: {', '.join(names)}"


def doubt_rate(point: ImportedPoint) -> Iterator[str]:
    """Why rate and mean latency of a batch do not fit, by Little's law: batches in flight = rate × time of each."""
    if point.latency is None or point.batch_size is None or point.streams is None:
        return
    allowed = 1000 * point.batch_size * point.streams / point.latency.mean_ms
    words = (
        f"{point.latency.mean_ms:g} ms for {point.batch_size} images on "
        f"{point.streams} {'stream' if point.streams == 1 else 'streams'}, which makes {allowed:.6g} images/s"
    )
    if point.images_per_s > TOO_FAST * allowed:
        yield f"batch {point.batch_size}: {point.images_per_s:.6g} images/s contradict the mean latency of {words}"
    elif point.images_per_s < WAITING * allowed:
        yield (
            f"batch {point.batch_size}: only {point.images_per_s:.6g} images/s at a mean latency of {words}: "
            "time passed between runs"
        )


def doubt_points(points: Sequence[ImportedPoint], models: Sequence[str | None]) -> Iterator[str]:
    """Too few runs, a model built for another batch size, repeats that disagree."""
    for point, model in zip(points, models, strict=True):
        label = f"batch {point.batch_size or 'not stated'}"
        yield from (f"{label}: {doubt}" for doubt in _doubt_point(point, model))
    yield from _doubt_repeats(points)


def _doubt_point(point: ImportedPoint, model: str | None) -> Iterator[str]:
    latency = point.latency
    if latency is not None and latency.count == 1:
        yield f"only one run in {point.file}"
    elif latency is not None and any(float(share) >= SHARE_99 for share in latency.percentiles_ms):
        if latency.count is None:
            yield f"{point.file} does not state how many runs the 99th percentile rests on; it takes {P99_SAMPLES}"
        elif latency.count < P99_SAMPLES:
            yield f"{latency.count} runs are too few to state a 99th percentile, which takes {P99_SAMPLES}"
    built_for = re.search(r"bs_?(\d+)", model or "")
    if built_for and point.batch_size and int(built_for[1]) != point.batch_size:
        yield f"the model's name, {model}, has batch {built_for[1]}"


def _doubt_repeats(points: Sequence[ImportedPoint]) -> Iterator[str]:
    groups: dict[tuple[object, ...], list[float]] = {}
    for point in points:
        key = (point.batch_size, point.scope, point.streams, point.input, point.chips)
        groups.setdefault(key, []).append(point.images_per_s)
    for (batch, scope, *_), rates in groups.items():
        spread = max(rates) / min(rates) - 1
        if spread > NOISE:
            yield (
                f"batch {batch or 'not stated'}: {len(rates)} runs in scope {scope} disagree by {spread:.0%} "
                f"(from {min(rates):.6g} to {max(rates):.6g} images/s)"
            )
