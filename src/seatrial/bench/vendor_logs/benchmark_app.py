"""OpenVINO's benchmark_app: what it prints (Python and C++, 2020 to 2026), and the reports it writes as CSV or JSON.

Its FPS counts images, not batches. An infer request runs from inputs in host memory to outputs there; the inputs are
filled before the clock starts unless an option includes it. From 2026 on, latencies below 1 ms are printed in µs.
"""

import re
from collections.abc import Mapping
from typing import Any

from seatrial.bench.vendor_logs.log import AS_PRINTED, LineMatch, LogText
from seatrial.bench.vendor_logs.reading import (
    LogHints,
    Reader,
    Reading,
    doubt_rate,
    join_runs,
    lines_of,
    read_count,
    read_object,
    read_rate,
    read_value,
    settle_batch,
)
from seatrial.errors import RefusedFile
from seatrial.store.imported import ImportedPoint, ReportedLatency

PREFIX = r"^\s*\[ (?:INFO|WARNING|ERROR) \]"
PRECISIONS = {"float32": "fp32", "f32": "fp32", "bfloat16": "bf16", "bf16": "bf16", "float16": "fp16", "f16": "fp16"}
PARTS_OF_MS = {"ms": 1, "us": 1000}
PREPARED = "an infer request is timed with inputs already filled (inference only)"
FILLED = "an infer request is timed, and filling its inputs too"
REPORT = "Command line parameters"
REPORTED = {"images_per_s": "throughput", "batch_size": "batch size", "latency": "avg latency"}
"""What a report calls the figures."""
INT8 = "the precision is what floating-point layers run in: a quantised model runs its int8 layers in int8"


def read(log: LogText, hints: LogHints) -> Reading:
    """What benchmark_app printed, once or several times, or one of its reports.

    Raises:
        RefusedFile: a figure is missing.
        UsageError: the batch size is not stated, or is not the one given.
    """
    if log.text.lstrip().startswith("{"):
        return _read_report(log, _flatten(read_object(log)), hints)
    if log.text.startswith(REPORT):
        return _read_report(log, _read_rows(log), hints)
    return join_runs(log, [_read_run(part, hints) for part in log.without(PREFIX).split(r"^\[Step 1/\d+\]")])


def _read_run(part: LogText, hints: LogHints) -> Reading:
    count, duration = part.need("Count: {n} iterations"), part.need("Duration: {n} ms")
    latency, times = _read_latency(part.after(duration.line), read_count(part, count))
    rate = part.need("Throughput: {n} FPS")
    size = part.match(r"^(?:Model|Network) batch size(?: was changed to)?: (\d{1,9})(?:\D|$)")
    batch = settle_batch(part, int(size.words[0]) or None if size else None, size.line if size else None, hints)
    shape = part.match(r"^\S+ \(node: .*\) : \S+ / \[.*\] / \[([\d,]+)\]")
    begun = part.match(r"Start inference (?:asynchronously, (\d{1,9}) inference requests|(sync)hronously)")
    filled = part.match(r"inputs filling are (not )?included")
    point = ImportedPoint(
        file=part.name, batch_size=batch, streams=int(begun.words[0] or 1) if begun else None, scope="host",
        scope_because=FILLED if filled and not filled.words[0] else PREPARED,
        images_per_s=read_rate(part, rate), images_per_s_because=f"{rate.words[0]} FPS as reported",
        input=shape.words[0].replace(",", "x") if shape else None, latency=latency,
        warmup_runs=1 if part.find("First inference took {n} ms") else None, duration_s=duration.figure() / 1000,
        lines=lines_of(
            images_per_s=rate, latency=times, batch_size=size, streams=begun, duration_s=duration, scope=filled
        ),
    )  # fmt: skip
    doubts = [*doubt_rate(point)]
    if part.match(r"PERF_COUNT: (?:YES|True)"):
        doubts.append(f"batch {batch}: performance counters were on, which costs time")
    return Reading(
        (point,),
        part.word(r"^\s*Build\s*\.+\s*(\d+\.\d+(?:\.\d+)?)"),
        None,
        _read_device(part),
        _read_precision(part),
        (*doubts, *((INT8,) if _read_precision(part) else ())),
    )


def _read_latency(part: LogText, count: int) -> tuple[ReportedLatency | None, tuple[LineMatch, ...]]:
    """Median or a percentile, then average, least and most; up to 2021 one line with the median alone."""
    if part.find("Latency:") is None:
        only = part.find("Latency: {n} ms")
        return None, (only,) if only else ()
    ranked = part.find("{n} percentile: {n} {w}")
    middle = part.need("Median: {n} {w}") if ranked is None else ranked
    mean, least, most = (part.need(f"{name}: {{n}} {{w}}") for name in ("Average", "Min", "Max"))
    value = _to_ms(part, middle)
    latency = ReportedLatency(
        count=count, min_ms=_to_ms(part, least), mean_ms=_to_ms(part, mean), max_ms=_to_ms(part, most),
        median_ms=value if ranked is None else None,
        percentiles_ms={} if ranked is None else {f"{ranked.figure():g}": value},
    )  # fmt: skip
    return latency, (middle, mean, least, most)


def _to_ms(part: LogText, time: LineMatch) -> float:
    """The time before a unit, both at the end of a line."""
    unit = time.words[-1]
    if unit not in PARTS_OF_MS:
        raise RefusedFile(
            f"{part.name} line {time.line} gives a time in '{unit}', not in {' or '.join(PARTS_OF_MS)}", AS_PRINTED
        )
    return time.figure(-2) / PARTS_OF_MS[unit]


def _read_device(part: LogText) -> str | None:
    used = part.word(r"Execution Devices:\s*\['?(.+?)'?\]$")
    if used is not None:
        return used.replace("'", "")
    heading = part.find("Device info:", "Device info")
    return part.after(heading.line).word(r"^\s*([A-Z][A-Z0-9.:,]*)\s*$") if heading else None


def _read_precision(part: LogText) -> str | None:
    return PRECISIONS.get(part.word(r"INFERENCE_PRECISION_HINT\s*[:,]\s*(?:<Type: ')?(\w+)") or "")


def _read_rows(log: LogText) -> dict[str, str]:
    """The CSV report: `key;value`, in which a later section may repeat a key of an earlier one."""
    return {key: value for key, _, value in (line.text.partition(";") for line in log.lines) if value}


def _flatten(report: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for part in report.values() if isinstance(part, Mapping) for key, value in part.items()}


def _read_report(log: LogText, values: Mapping[str, Any], hints: LogHints) -> Reading:
    if "error" in values:
        raise RefusedFile(
            f"{log.name} has no result: benchmark_app reports '{values['error']}'",
            "give the report of a run that passed",
        )
    batch = settle_batch(log, int(read_value(log, values, "batch size")), log.locate("batch size"), hints)
    rate = read_value(log, values, "throughput")
    point = ImportedPoint(
        file=log.name, batch_size=batch, streams=int(read_value(log, values, "number of parallel infer requests")),
        scope="host", scope_because=PREPARED if str(values.get("inference_only")) == "True" else FILLED,
        images_per_s=rate, images_per_s_because=f"{rate} FPS as reported", latency=_read_report_latency(log, values),
        duration_s=read_value(log, values, "total execution time (ms)") / 1000,
        lines={name: (log.locate(key),) for name, key in REPORTED.items()},
    )  # fmt: skip
    return Reading(
        (point,),
        device=str(values["target device"]) if values.get("target device") else None,
        precision=PRECISIONS.get(str(values.get("precision"))),
        doubts=tuple(doubt_rate(point)),
    )


def _read_report_latency(log: LogText, values: Mapping[str, Any]) -> ReportedLatency | None:
    """Two decimals of a millisecond: a time printed as 0.00 is unknown."""
    count = int(read_value(log, values, "total number of iterations"))
    mean, least, most = (read_value(log, values, f"{name} latency", zero=True) for name in ("avg", "min", "max"))
    if mean == 0:
        return None
    median = read_value(log, values, "latency (ms)", zero=True) if "latency (ms)" in values else 0.0
    named = [match for match in map(re.compile(r"latency \((\d{1,9}) percentile\) \(ms\)").fullmatch, values) if match]
    shares = {match[1]: read_value(log, values, match[0], zero=True) for match in named}
    return ReportedLatency(
        count=count, min_ms=least or None, mean_ms=mean, median_ms=median or None, max_ms=most, percentiles_ms=shares
    )


READER = Reader(
    marks=r"\[Step \d+/\d+\]|Throughput: .* FPS|^Command line parameters|\"(?:cmd_options|execution_results)\"",
    read=read,
    own_error=r"(?:\[ ERROR \]\s*|^(?:\w*Error|Exception): )(.+)",
)
