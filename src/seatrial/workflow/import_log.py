"""`seatrial import-log`: benchmark logs of other tools as a record to compare with ours."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.bench.vendor_logs import read_log
from seatrial.bench.vendor_logs.reading import LogHints, Reading, doubt_models, doubt_points
from seatrial.errors import NotComparable, UsageError
from seatrial.progress import Progress, Update, silent
from seatrial.store.imported import ImportedPoint, ImportedRecord, LogFile, check_output


@dataclass(frozen=True, slots=True)
class ImportSpec:
    """The logs to read, and what the user adds to them."""

    tool: str
    """One of `bench.vendor_logs.READERS`, or `auto`."""
    files: tuple[Path, ...]
    batch_sizes: tuple[int, ...] = ()
    """For logs that do not state it: one for all of them, or one for each."""
    device: str | None = None
    model: str | None = None
    chips_per_card: int | None = None


@dataclass(frozen=True, slots=True)
class _ReadLog:
    tool: str
    file: LogFile
    reading: Reading


def import_logs(spec: ImportSpec, output: Path, progress: Progress = silent) -> ImportedRecord:
    """Read the logs of one tool on one device and write them as one record.

    Raises:
        UsageError: no such tool or file, another tool's log, the same log twice, or no batch size.
        RefusedFile: a file is no log, or has no complete result; names the line.
        NotComparable: the logs are of several tools, versions, devices or precisions.
        StorageError: the record cannot be stored at `output`.
    """
    if output.resolve() in {path.resolve() for path in spec.files}:
        raise UsageError(f"--output {output} is one of the logs", "choose another --output")
    check_output(output)
    logs = tuple(_read_all(spec, progress))
    _check_same_setup(logs)
    _check_same_input(logs)
    record = _make_record(spec, logs, output.stem)
    record.save(output)
    return record


def _read_all(spec: ImportSpec, progress: Progress) -> Iterator[_ReadLog]:
    sizes: Sequence[int | None] = spec.batch_sizes or (None,)
    if len(sizes) not in (1, len(spec.files)):
        raise UsageError(
            f"--batch-size gives {len(sizes)} sizes for {len(spec.files)} files", "give one for all, or one for each"
        )
    seen: dict[str, Path] = {}
    for index, path in enumerate(spec.files):
        progress(Update("import", index, len(spec.files), "logs"))
        one = _ReadLog(*read_log(path, spec.tool, LogHints(sizes[index % len(sizes)], spec.model)))
        if one.file.sha256 in seen:
            raise UsageError(f"{seen[one.file.sha256]} and {path} are the same log", "give each log once")
        seen[one.file.sha256] = path
        yield one


def _check_same_setup(logs: Sequence[_ReadLog]) -> None:
    """What differs between logs must not hide in one record."""
    first = logs[0]
    for one in logs[1:]:
        pairs = {"tool": (first.tool, one.tool)}
        for what in ("tool_version", "device", "precision"):
            pairs[what] = (getattr(first.reading, what), getattr(one.reading, what))
        for what, (mine, other) in pairs.items():
            if mine != other:
                raise NotComparable(
                    f"{first.file.name} and {one.file.name} differ in {what.replace('_', ' ')}: "
                    f"{mine or 'not stated'} and {other or 'not stated'}",
                    "import each into a record of its own",
                )


_BATCH = re.compile(r"\d+x(?=\d+x\d+x\d+$)")
"""The first of four axes of an input, which may have a name before them."""


def _check_same_input(logs: Sequence[_ReadLog]) -> None:
    """Runs on images of several sizes would be one row of a table, or be put together as repeats."""
    first: ImportedPoint | None = None
    for point in (point for one in logs for point in one.reading.points if point.input is not None):
        first = first or point
        sizes = [_BATCH.sub("", (each.input or "").rpartition(":")[2]) for each in (first, point)]
        if sizes[0] != sizes[1]:
            raise NotComparable(
                f"{first.file} and {point.file} differ in input: {first.input} and {point.input}",
                "import each into a record of its own",
            )


def _make_record(spec: ImportSpec, logs: Sequence[_ReadLog], name: str) -> ImportedRecord:
    tool, reading = logs[0].tool, logs[0].reading
    points = tuple(point for one in logs for point in one.reading.points)
    if (chips := spec.chips_per_card) is not None:
        points = tuple(p.model_copy(update={"images_per_s_card": p.images_per_s * chips}) for p in points)
    point_models = [one.reading.model for one in logs for _ in one.reading.points]
    models = set(point_models)
    model = reading.model if len(models) == 1 else None
    doubts = (
        *dict.fromkeys(doubt for one in logs for doubt in one.reading.doubts),
        *doubt_models([one.reading.model for one in logs]),
        *dict.fromkeys(doubt_points(points, point_models)),
        *_doubt_record(spec, reading, points),
    )
    return ImportedRecord(
        name=name, tool=tool, tool_version=reading.tool_version, model=spec.model or model,
        device=spec.device or reading.device, precision=reading.precision, chips_per_card=spec.chips_per_card,
        files=tuple(one.file for one in logs), points=points, doubts=doubts,
    )  # fmt: skip


def _doubt_record(spec: ImportSpec, reading: Reading, points: Sequence[ImportedPoint]) -> Iterator[str]:
    if spec.device is None and reading.device is None:
        yield "the device is not stated: give --device"
    elif spec.device and reading.device and spec.device.lower() not in reading.device.lower():
        yield f"--device is {spec.device}, the log has {reading.device}"
    if reading.precision is None and not any("precision" in doubt for doubt in reading.doubts):
        yield "the precision is not stated"
    if reading.one_chip and spec.chips_per_card is None:
        yield "the figures are one chip's, the number on a card (a 310 has four) is not stated: give --chips-per-card"
    if any(point.chips % (spec.chips_per_card or 1) for point in points if point.chips > 1):
        yield f"the chips that ran at once are no whole number of cards with {spec.chips_per_card} each"
