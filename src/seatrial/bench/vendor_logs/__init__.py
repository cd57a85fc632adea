"""Logs of other tools' benchmarks, read into our records: a file for each tool, a line for each in the table."""

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from pydantic import ValidationError

from seatrial.bench.vendor_logs.log import Log, load_log
from seatrial.bench.vendor_logs.reading import Asked, Reader, Reading
from seatrial.errors import RefusedFile, UsageError
from seatrial.store.imported import LogFile
from seatrial.strict import suggest

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


def read_log(path: Path, tool: str, asked: Asked) -> tuple[str, LogFile, Reading]:
    """The tool, the file and what it tells; with `auto` the tool is the one that the log looks like.

    Raises:
        UsageError: there is no such tool or file, the log is another tool's, or lacks what `asked` does not tell.
        RefusedFile: it is no log, or holds no whole result.
        NotComparable: it holds runs of several versions, devices or precisions.
    """
    if tool not in (AUTO, *READERS):
        raise UsageError(f"there is no reader for '{tool}'", suggest(tool, [AUTO, *READERS]))
    log = load_log(path)
    name = _settle_tool(log, tool)
    reader = _get_reader(name)
    try:
        return name, log.file, _read_whole(reader, log, asked)
    except RefusedFile as error:
        # Its own words come last and tell more than what we miss.
        own = log.match(reader.own_error)
        if own is None:
            raise
        raise RefusedFile(f"{error.problem}; {name} says on line {own.line}: {own.words[0].strip()}") from None


def _read_whole(reader: Reader, log: Log, asked: Asked) -> Reading:
    try:
        return reader.read(log, asked)
    except OverflowError:
        raise RefusedFile(f"{log.name} holds a figure that is endless", "give the log as printed") from None
    except ValidationError as error:
        first = error.errors()[0]
        what = " ".join(str(part) for part in first["loc"])
        raise RefusedFile(
            f"{log.name} makes {what} {first['input']!r}: {first['msg']}", "give the log as printed"
        ) from None


def _get_reader(name: str) -> Reader:
    reader: Reader = import_module(f"seatrial.bench.vendor_logs.{name}").READER
    return reader


def _settle_tool(log: Log, tool: str) -> str:
    looks = [name for name in READERS if _looks_like(log, name)]
    if tool in looks:
        return tool
    if not looks:
        raise RefusedFile(
            f"{log.name} has no line of {'any tool that is known' if tool == AUTO else tool}", _list_tools()
        )
    if tool != AUTO:
        raise UsageError(f"{log.name} is a log of {looks[0]}, not of {tool}", f"say import-log {looks[0]}")
    if len(looks) > 1:
        raise UsageError(f"{log.name} may be a log of {' or '.join(looks)}", "name the tool in place of auto")
    return looks[0]


def _list_tools() -> str:
    return "known: " + ", ".join(READERS)


def _looks_like(log: Log, name: str) -> bool:
    marks = re.compile(_get_reader(name).marks)
    cut = [log.text.rpartition("\n")[2]] if log.cut_line else []
    return any(marks.search(text) for text in (*cut, *(line.text for line in log.lines)))
