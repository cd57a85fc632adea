"""OpenVINO's benchmark_app: what it prints (Python and C++, 2020 to 2026), and the reports it writes as CSV or JSON.

Its FPS counts images, not batches. An infer request runs from inputs in host memory to outputs there; the inputs are
filled before the clock starts unless it is told otherwise. From 2026 on, latencies below 1 ms are printed in µs.
"""

import re
from collections.abc import Mapping
from typing import Any

from seatrial.bench.vendor_logs.doubts import doubt_rate
from seatrial.bench.vendor_logs.log import Found, Log
from seatrial.bench.vendor_logs.reading import (
    Asked,
    Reader,
    Reading,
    join_runs,
    lines_of,
    read_count,
    read_object,
    read_rate,
    read_value,
    settle_batch,
)
from seatrial.errors import RefusedFile
from seatrial.store.imported import ImportedPoint, ToldLatency

PREFIX = r"^\s*\[ (?:INFO|WARNING|ERROR) \]"
PRECISIONS = {"float32": "fp32", "f32": "fp32", "bfloat16": "bf16", "bf16": "bf16", "float16": "fp16", "f16": "fp16"}
PARTS_OF_MS = {"ms": 1, "us": 1000}
PREPARED = "an infer request is timed with inputs already filled (inference only)"
FILLED = "an infer request is timed, and filling its inputs too"
REPORT = "Command line parameters"
REPORTED = {"images_per_s": "throughput", "batch_size": "batch size", "latency": "avg latency"}
"""What a report calls the figures."""
INT8 = "the precision is what floating-point layers run in: a quantised model runs its int8 layers in int8"


def read(log: Log, asked: Asked) -> Reading:
    """What benchmark_app printed, once or several times, or one of its reports.

    Raises:
        RefusedFile: a figure is missing.
        UsageError: the batch size is not told, or is another than asked.
    """
    if log.text.lstrip().startswith("{"):
        return _read_report(log, _flatten(read_object(log)), asked)
    if log.text.startswith(REPORT):
        return _read_report(log, _read_rows(log), asked)
    return join_runs(log, [_read_run(part, asked) for part in log.without(PREFIX).split(r"^\[Step 1/\d+\]")])


def _read_run(part: Log, asked: Asked) -> Reading:
    count, duration = part.need("Count: {n} iterations"), part.need("Duration: {n} ms")
    latency, times = _read_latency(part.after(duration.line), read_count(part, count))
    rate = part.need("Throughput: {n} FPS")
    size = part.match(r"^(?:Model|Network) batch size(?: was changed to)?: (\d{1,9})(?:\D|$)")
    batch = settle_batch(part, int(size.words[0]) or None if size else None, size.line if size else None, asked)
    shape = part.match(r"^\S+ \(node: .*\) : \S+ / \[.*\] / \[([\d,]+)\]")
    begun = part.match(r"Start inference (?:asynchronously, (\d{1,9}) inference requests|(sync)hronously)")
    filled = part.match(r"inputs filling are (not )?included")
    point = ImportedPoint(
        file=part.name, batch_size=batch, streams=int(begun.words[0] or 1) if begun else None, scope="host",
        scope_because=FILLED if filled and not filled.words[0] else PREPARED,
        images_per_s=read_rate(part, rate), images_per_s_because=f"{rate.words[0]} FPS as told",
        input=shape.words[0].replace(",", "x") if shape else None, latency=latency,
        warmup_runs=1 if part.find("First inference took {n} ms") else None, duration_s=duration.figure() / 1000,
        lines=lines_of(
            images_per_s=rate, latency=times, batch_size=size, streams=begun, duration_s=duration, scope=filled
        ),
    )  # fmt: skip
    doubts = [doubt_rate(point)]
    if part.match(r"PERF_COUNT: (?:YES|True)"):
        doubts.append("performance counters were on, which costs time")
    return Reading(
        (point,),
        _read_version(part),
        None,
        _read_device(part),
        _read_precision(part),
        tuple(f"batch {batch}: {doubt}" for doubt in doubts if doubt) + ((INT8,) if _read_precision(part) else ()),
    )


def _read_latency(part: Log, count: int) -> tuple[ToldLatency | None, tuple[Found, ...]]:
    """Median or a percentile, then average, least and most; up to 2021 one line with the median alone."""
    if part.find("Latency:") is None:
        only = part.find("Latency: {n} ms")
        return None, (only,) if only else ()
    ranked = part.find("{n} percentile: {n} {w}")
    middle = part.need("Median: {n} {w}") if ranked is None else ranked
    mean, least, most = (part.need(f"{name}: {{n}} {{w}}") for name in ("Average", "Min", "Max"))
    value = _to_ms(part, middle)
    latency = ToldLatency(
        count=count, min_ms=_to_ms(part, least), mean_ms=_to_ms(part, mean), max_ms=_to_ms(part, most),
        median_ms=value if ranked is None else None,
        percentiles_ms={} if ranked is None else {f"{ranked.figure():g}": value},
    )  # fmt: skip
    return latency, (middle, mean, least, most)


def _to_ms(part: Log, found: Found) -> float:
    """The time before a unit, which both stand last in a line."""
    unit = found.words[-1]
    if unit not in PARTS_OF_MS:
        raise RefusedFile(f"{part.name} line {found.line} tells a time in '{unit}', not in {' or '.join(PARTS_OF_MS)}")
    return found.figure(-2) / PARTS_OF_MS[unit]


def _read_version(part: Log) -> str | None:
    build = part.match(r"^\s*Build\s*\.+\s*(\d+\.\d+(?:\.\d+)?)")
    return build.words[0] if build else None


def _read_device(part: Log) -> str | None:
    used = part.match(r"Execution Devices:\s*\['?(.+?)'?\]$")
    if used is not None:
        return used.words[0].replace("'", "")
    heading = part.find("Device info:", "Device info")
    listed = part.after(heading.line).match(r"^\s*([A-Z][A-Z0-9.:,]*)\s*$") if heading else None
    return listed.words[0] if listed else None


def _read_precision(part: Log) -> str | None:
    hint = part.match(r"INFERENCE_PRECISION_HINT\s*[:,]\s*(?:<Type: ')?(\w+)")
    return PRECISIONS.get(hint.words[0]) if hint else None


def _read_rows(log: Log) -> dict[str, str]:
    """The CSV report: `key;value`, in which a later section may repeat a key of an earlier one."""
    return {key: value for key, _, value in (line.text.partition(";") for line in log.lines) if value}


def _flatten(report: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for part in report.values() if isinstance(part, Mapping) for key, value in part.items()}


def _read_report(log: Log, values: Mapping[str, Any], asked: Asked) -> Reading:
    if "error" in values:
        raise RefusedFile(f"{log.name} holds no result: benchmark_app says '{values['error']}'")
    batch = settle_batch(log, int(read_value(log, values, "batch size")), log.locate("batch size"), asked)
    rate = read_value(log, values, "throughput")
    point = ImportedPoint(
        file=log.name, batch_size=batch, streams=int(read_value(log, values, "number of parallel infer requests")),
        scope="host", scope_because=PREPARED if str(values.get("inference_only")) == "True" else FILLED,
        images_per_s=rate, images_per_s_because=f"{rate} FPS as told", latency=_read_report_latency(log, values),
        duration_s=read_value(log, values, "total execution time (ms)") / 1000,
        lines={name: (log.locate(key),) for name, key in REPORTED.items()},
    )  # fmt: skip
    doubt = doubt_rate(point)
    return Reading(
        (point,),
        device=str(values["target device"]) if values.get("target device") else None,
        precision=PRECISIONS.get(str(values.get("precision"))),
        doubts=(f"batch {batch}: {doubt}",) if doubt else (),
    )


def _read_report_latency(log: Log, values: Mapping[str, Any]) -> ToldLatency | None:
    """Two decimals of a millisecond: what is printed as 0.00 is not known."""
    count = int(read_value(log, values, "total number of iterations"))
    mean, least, most = (read_value(log, values, f"{name} latency", zero=True) for name in ("avg", "min", "max"))
    if mean == 0:
        return None
    median = read_value(log, values, "latency (ms)", zero=True) if "latency (ms)" in values else 0.0
    named = [match for match in map(re.compile(r"latency \((\d{1,9}) percentile\) \(ms\)").fullmatch, values) if match]
    shares = {match[1]: read_value(log, values, match[0], zero=True) for match in named}
    return ToldLatency(
        count=count, min_ms=least or None, mean_ms=mean, median_ms=median or None, max_ms=most, percentiles_ms=shares
    )


READER = Reader(
    marks=r"\[Step \d+/\d+\]|Throughput: .* FPS|^Command line parameters|\"(?:cmd_options|execution_results)\"",
    read=read,
    own_error=r"(?:\[ ERROR \]\s*|^(?:\w*Error|Exception): )(.+)",
)
