"""timm's benchmark.py: its results file (CSV or JSON), and what it prints, which ends in `--result` and JSON.

The inputs lie on the device and every step is waited for, so copies are not timed. A file may have many networks,
and one network at several image sizes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.bench.vendor_logs.log import AS_PRINTED, LogText
from seatrial.bench.vendor_logs.reading import LogHints, Reader, Reading, doubt_rate, read_value, settle_batch
from seatrial.errors import RefusedFile, UsageError
from seatrial.store.imported import ImportedPoint, ReportedLatency
from seatrial.strict import suggest

RATE = "infer_samples_per_sec"
RESULT = "--result"
PRECISIONS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
"""Its words for ours; of `amp` only some layers run in fp16."""
SCOPE = "inputs lie on the device before the clock starts, and each step is waited for"


@dataclass(frozen=True, slots=True)
class _Row:
    """The result of one network, and its line."""

    line: int
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The network's, with its image size where it is stated."""
        size = self.values.get("infer_img_size")
        return f"{self.values.get('model')}@{size}" if size else str(self.values.get("model"))


def read(log: LogText, hints: LogHints) -> Reading:
    """The inference results of one network.

    Raises:
        RefusedFile: there is none, or benchmark.py failed.
        UsageError: there are several, and --model names none of them.
    """
    rows = _choose_rows(log, list(_read_rows(log)), hints)
    points = tuple(_make_point(log, row, hints) for row in rows)
    used = log.word(r"Benchmarking in (\w+) precision")
    doubts = (doubt for point in points for doubt in doubt_rate(point))
    return Reading(
        points, model=str(rows[0].values.get("model")), precision=PRECISIONS.get(used or "", used), doubts=tuple(doubts)
    )


def _read_rows(log: LogText) -> Iterator[_Row]:
    printed = log.match(f"^({RESULT})$")
    if printed is not None:
        after = log.after(printed.line).lines
        text = "\n".join(line.text for line in after)
        yield from _read_json(log, log.parse_json(text, printed.line + 1))
    elif log.text.lstrip().startswith(("{", "[")) and not log.match(r"^\S*Benchmarking in"):
        yield from _read_json(log, log.parse_json(log.text))
    else:
        yield from _read_table(log)


def _read_json(log: LogText, value: Any) -> Iterator[_Row]:
    for index, one in enumerate(value if isinstance(value, list) else [value]):
        if not isinstance(one, dict):
            raise RefusedFile(f"{log.name} has {one!r}, not a network's results", AS_PRINTED)
        yield _Row(log.locate('"model"', index), one)


def _read_table(log: LogText) -> Iterator[_Row]:
    header: Sequence[str] | None = None
    for line in log.lines:
        cells = line.text.split(",") if line.text else []
        if header is None:
            header = cells if "model" in cells else None
        elif len(cells) == len(header):
            yield _Row(line.number, dict(zip(header, cells, strict=True)))
        elif cells:
            raise RefusedFile(
                f"{log.name} line {line.number} has {len(cells)} cells, the header {len(header)}", AS_PRINTED
            )
    if header is None:
        raise RefusedFile(
            f"{log.name} has no line '{RESULT}' and no header with 'model' {log.describe_end()}",
            "give the complete file",
        )


def _choose_rows(log: LogText, rows: list[_Row], hints: LogHints) -> list[_Row]:
    timed = [row for row in rows if RATE in row.values]
    if not timed:
        failed = next((row for row in rows if row.values.get("error")), None)
        if failed is not None:
            raise RefusedFile(
                f"{log.name} line {failed.line}: benchmark.py failed on {failed.name}: {failed.values['error']}",
                "run benchmark.py again",
            )
        there = ", ".join(rows[0].values) if rows else "no rows"
        raise RefusedFile(f"{log.name} has no '{RATE}' ({there})", "give a file of `benchmark.py --bench inference`")
    names = list(dict.fromkeys(row.name for row in timed))
    if hints.model is None:
        if len(names) > 1:
            shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
            raise UsageError(f"{log.name} has {len(names)} networks: {shown}", "choose one with --model")
        return timed
    chosen = [row for row in timed if hints.model in (row.name, row.values.get("model"))]
    if not chosen:
        raise UsageError(f"{log.name} has no network '{hints.model}'", suggest(hints.model, names[:50]))
    sizes = list(dict.fromkeys(row.name for row in chosen))
    if len(sizes) > 1:
        raise UsageError(f"{log.name} has {hints.model} at several image sizes", f"choose one of {', '.join(sizes)}")
    return chosen


def _make_point(log: LogText, row: _Row, hints: LogHints) -> ImportedPoint:
    values = row.values
    batch = settle_batch(log, int(read_value(log, values, "infer_batch_size")), row.line, hints)
    rate, step = read_value(log, values, RATE), read_value(log, values, "infer_step_time")
    size = values.get("infer_img_size")
    return ImportedPoint(
        file=log.name, batch_size=batch, streams=1, scope="device", scope_because=SCOPE,
        images_per_s=rate, images_per_s_because=f"{RATE} as reported", input=str(size) if size else None,
        latency=ReportedLatency(mean_ms=step), lines={"images_per_s": (row.line,), "latency": (row.line,)},
    )  # fmt: skip


READER = Reader(
    marks=r"(?:infer|train)_samples_per_sec|samples/sec\.|Benchmarking in \w+ precision"
    r"|Running (?:inference|train) benchmark on|^model,(?:img_size|infer_|train_|top1)|^\s*\"error\":",
    read=read,
    own_error=r"\"(.+)\" while running benchmark",
)
