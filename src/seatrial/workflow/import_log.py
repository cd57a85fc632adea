"""`seatrial import-log`: other people's benchmark logs as a record that ours can be put beside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.bench.vendor_logs import read_log
from seatrial.bench.vendor_logs.doubts import doubt_points
from seatrial.bench.vendor_logs.reading import Asked, Reading
from seatrial.errors import NotComparable, UsageError
from seatrial.progress import Progress, Update, silent
from seatrial.store.imported import ImportedPoint, ImportedRecord, LogFile
from seatrial.store.measurement import check_output


@dataclass(frozen=True, slots=True)
class ImportSpec:
    """Which logs to read, and what the user says of them."""

    tool: str
    """One of `bench.vendor_logs.READERS`, or `auto`."""
    files: tuple[Path, ...]
    batch_sizes: tuple[int, ...] = ()
    """For logs that do not tell it: one for all of them, or one for each."""
    device: str | None = None
    model: str | None = None
    chips_per_card: int | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    tool: str
    file: LogFile
    reading: Reading


def import_logs(spec: ImportSpec, output: Path, progress: Progress = silent) -> ImportedRecord:
    """Read the logs of one tool on one device and write them as one record.

    Raises:
        UsageError: no such tool or file, another tool's log, the same log twice, or a batch size that is nowhere told.
        RefusedFile: a file is no log, or holds no whole result; names the line.
        NotComparable: the logs are of several tools, versions, devices or precisions.
        StorageError: the record cannot be stored at `output`.
    """
    if output.resolve() in {path.resolve() for path in spec.files}:
        raise UsageError(f"--output {output} is one of the logs", "choose another --output")
    check_output(output)
    found = tuple(_read_all(spec, progress))
    _check_alike(found)
    record = _make_record(spec, found, output.stem)
    record.save(output)
    return record


def _read_all(spec: ImportSpec, progress: Progress) -> Iterator[_Read]:
    sizes: Sequence[int | None] = spec.batch_sizes or (None,)
    if len(sizes) not in (1, len(spec.files)):
        raise UsageError(
            f"--batch-size gives {len(sizes)} sizes for {len(spec.files)} files", "give one for all, or one for each"
        )
    known: dict[str, Path] = {}
    for index, path in enumerate(spec.files):
        progress(Update("import", index, len(spec.files), "logs"))
        asked = Asked(sizes[index % len(sizes)], spec.model)
        one = _Read(*read_log(path, spec.tool, asked))
        if one.file.sha256 in known:
            raise UsageError(f"{known[one.file.sha256]} and {path} are the same log", "give each log once")
        known[one.file.sha256] = path
        yield one


def _check_alike(found: Sequence[_Read]) -> None:
    """What differs between logs must not hide in one record."""
    first = found[0]
    for one in found[1:]:
        pairs = {"tool": (first.tool, one.tool)}
        for what in ("tool_version", "device", "precision"):
            pairs[what] = (getattr(first.reading, what), getattr(one.reading, what))
        for what, (mine, other) in pairs.items():
            if mine != other:
                raise NotComparable(
                    f"{first.file.name} and {one.file.name} differ in {what.replace('_', ' ')}: "
                    f"{mine or 'not told'} and {other or 'not told'}",
                    "import them into records of their own",
                )


def _make_record(spec: ImportSpec, found: Sequence[_Read], name: str) -> ImportedRecord:
    tool, reading = found[0].tool, found[0].reading
    points = tuple(_fill_card(spec, point) for one in found for point in one.reading.points)
    point_models = [one.reading.model for one in found for _ in one.reading.points]
    models = set(point_models)
    told = reading.model if len(models) == 1 else None
    doubts = (
        *dict.fromkeys(doubt for one in found for doubt in one.reading.doubts),
        *dict.fromkeys(doubt_points(points, point_models)),
        *_doubt_record(spec, reading, points),
    )
    return ImportedRecord(
        name=name, tool=tool, tool_version=reading.tool_version, model=spec.model or told,
        device=spec.device or reading.device, precision=reading.precision, chips_per_card=spec.chips_per_card,
        files=tuple(one.file for one in found), points=points, doubts=doubts,
    )  # fmt: skip


def _fill_card(spec: ImportSpec, point: ImportedPoint) -> ImportedPoint:
    if spec.chips_per_card is None:
        return point
    return point.model_copy(update={"images_per_s_card": point.images_per_s * spec.chips_per_card})


def _doubt_record(spec: ImportSpec, reading: Reading, points: Sequence[ImportedPoint]) -> Iterator[str]:
    if spec.device is None and reading.device is None:
        yield "which device it was is not told: give --device"
    elif spec.device and reading.device and spec.device.lower() not in reading.device.lower():
        yield f"--device says {spec.device}, the log {reading.device}"
    if reading.precision is None and not any("precision" in doubt for doubt in reading.doubts):
        yield "the precision is not told"
    if reading.one_chip and spec.chips_per_card is None:
        yield "the figures are one chip's; how many a card has (a 310 card four) is not told: give --chips-per-card"
    if any(point.chips % (spec.chips_per_card or 1) for point in points if point.chips > 1):
        yield f"the chips that worked at once make up no whole number of cards with {spec.chips_per_card} each"
