"""Logs of other tools' benchmarks, read into our records: a file for each tool, a line for each in the table."""

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from pydantic import ValidationError

from seatrial.bench.vendor_logs.log import LogText, load_log
from seatrial.bench.vendor_logs.reading import LogHints, Reader, Reading
from seatrial.errors import RefusedFile, UsageError
from seatrial.store.imported import LogFile
from seatrial.strict import check_name

READERS: Mapping[str, str] = {
    "trtexec": "NVIDIA's trtexec, TensorRT 7 to 11",
    "ais_bench": "Ascend's ais_bench and ais_infer, printed or summary.json",
    "benchmark": "Ascend's benchmark.x86_64 and benchmark.aarch64, perf_vision… or PureInfer",
    "benchmark_app": "OpenVINO's benchmark_app, printed or benchmark_report.csv, .json",
    "onnxruntime_perf_test": "ONNX Runtime's onnxruntime_perf_test",
    "timm": "timm's benchmark.py, printed or its results file (CSV, JSON)",
    "mlperf": "MLPerf's mlperf_log_summary.txt",
}
"""Each tool with the logs that are read; its reader is `READER` in the module of its name."""
AUTO = "auto"


def read_log(path: Path, tool: str, hints: LogHints) -> tuple[str, LogFile, Reading]:
    """The tool, the file and its figures; with `auto` the tool is recognised by the log.

    Raises:
        UsageError: there is no such tool or file, the log is another tool's, or lacks what `hints` do not give.
        RefusedFile: it is no log, or has no complete result.
        NotComparable: it has runs of several versions, devices or precisions.
    """
    check_name(tool, (AUTO, *READERS), f"there is no reader for '{tool}'")
    log = load_log(path)
    name = _settle_tool(log, tool)
    reader = _get_reader(name)
    try:
        return name, log.file, _read_whole(reader, log, hints)
    except RefusedFile as error:
        # Its own error is at the end and explains more than what is missing.
        own = log.match(reader.own_error)
        if own is None:
            raise
        raise RefusedFile(f"{error.problem}; {name} reports on line {own.line}: {own.words[0].strip()}") from None


def _read_whole(reader: Reader, log: LogText, hints: LogHints) -> Reading:
    try:
        return reader.read(log, hints)
    except OverflowError:
        raise RefusedFile(f"{log.name} has an infinite figure", "give the log as printed") from None
    except ValidationError as error:
        first = error.errors()[0]
        what = " ".join(str(part) for part in first["loc"])
        raise RefusedFile(
            f"{log.name} gives {first['input']!r} as {what}: {first['msg']}", "give the log as printed"
        ) from None


def _get_reader(name: str) -> Reader:
    reader: Reader = import_module(f"seatrial.bench.vendor_logs.{name}").READER
    return reader


def _settle_tool(log: LogText, tool: str) -> str:
    looks = [name for name in READERS if _looks_like(log, name)]
    if tool in looks:
        return tool
    if not looks:
        raise RefusedFile(
            f"{log.name} has no line of {'any supported tool' if tool == AUTO else tool}",
            "supported: " + ", ".join(READERS),
        )
    if tool != AUTO:
        raise UsageError(f"{log.name} is a log of {looks[0]}, not of {tool}", f"use `seatrial import-log {looks[0]}`")
    if len(looks) > 1:
        raise UsageError(f"{log.name} may be a log of {' or '.join(looks)}", "name the tool in place of auto")
    return looks[0]


def _looks_like(log: LogText, name: str) -> bool:
    marks = re.compile(_get_reader(name).marks)
    cut = [log.text.rpartition("\n")[2]] if log.cut_line else []
    return any(marks.search(text) for text in (*cut, *(line.text for line in log.lines)))
