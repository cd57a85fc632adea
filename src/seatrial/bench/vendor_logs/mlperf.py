"""MLPerf's `mlperf_log_summary.txt` (format: `loadgen/results.cc` and `logging.cc`).

LoadGen hands over samples in host memory and waits for the predictions: copies are inside the clock, decoding is not.
What it measures is a whole system in one scenario; how the system batches is not part of it.
"""

from collections.abc import Iterator

from seatrial.bench.vendor_logs.log import LineMatch, LogText
from seatrial.bench.vendor_logs.reading import (
    LogHints,
    Reader,
    Reading,
    join_runs,
    lines_of,
    read_count,
    read_rate,
    settle_batch,
)
from seatrial.errors import RefusedFile
from seatrial.store.imported import ImportedPoint, ReportedLatency

NS_PER_MS = 1e6
SCOPE = "LoadGen's clock runs from a sample in host memory to its prediction there"
SCENARIOS = ("SingleStream", "MultiStream", "Server", "Offline")
UNNAMED = "PySUT"
"""What LoadGen's Python binding calls every system."""
ONE_SYSTEM = "it is a system's figure: how many devices worked is not stated"


def read(log: LogText, hints: LogHints) -> Reading:
    """The summary of one run, or several in one file.

    Raises:
        RefusedFile: a figure is missing, or the run measured accuracy.
    """
    return join_runs(log, [_read_run(part, hints) for part in log.without(r"^\s+").split("^MLPerf Results Summary$")])


def _read_run(part: LogText, hints: LogHints) -> Reading:
    system, scenario, mode = part.need("SUT name : {w}"), part.need("Scenario : {w}"), part.need("Mode : {w}")
    if mode.words[0] != "PerformanceOnly":
        raise RefusedFile(
            f"{part.name} line {mode.line}: mode {mode.words[0]} measures no speed", "give a performance run"
        )
    if scenario.words[0] not in SCENARIOS:
        raise RefusedFile(
            f"{part.name} line {scenario.line}: there is no scenario '{scenario.words[0]}'",
            f"supported: {', '.join(SCENARIOS)}",
        )
    result = part.need("Result is : {w}")
    query = part.need("samples_per_query : {n}")
    # The last figure of the summary: a file that has it was not cut off.
    part.need("performance_sample_count : {n}")
    point = _make_point(part, scenario.words[0], query, hints)
    doubts = tuple(f"{scenario.words[0]}: {doubt}" for doubt in _find_doubts(part, scenario.words[0], result))
    device = system.words[0] if system.words[0] not in ("", UNNAMED) else None
    return Reading((point,), device=device, doubts=doubts)


def _make_point(part: LogText, scenario: str, query: LineMatch, hints: LogHints) -> ImportedPoint:
    per_query = read_count(part, query)
    one_by_one = scenario in ("SingleStream", "MultiStream")
    batch = settle_batch(part, per_query, query.line, hints) if one_by_one else hints.batch_size
    latency, times = _read_latency(part, one_by_one)
    rate, because, source = _read_rate(part, scenario, per_query, latency, times)
    return ImportedPoint(
        file=part.name, batch_size=batch, streams=1 if one_by_one else None,
        scope="host", scope_because=SCOPE, images_per_s=rate, images_per_s_because=because,
        latency=None if scenario == "Offline" else latency,
        lines=lines_of(images_per_s=source, latency=times, samples_per_query=query),
    )  # fmt: skip


def _read_latency(part: LogText, one_by_one: bool) -> tuple[ReportedLatency, tuple[LineMatch, ...]]:
    ends = [part.need(f"{name} latency (ns) : {{n}}") for name in ("Min", "Max", "Mean")]
    shares = list(part.find_all("{n} percentile latency (ns) : {n}"))
    least, most, mean = (read_rate(part, one) / NS_PER_MS for one in ends)
    ranked = {f"{share.figure():g}": share.figure(1) / NS_PER_MS for share in shares}
    queries = part.match(r"Processed at least \d+ queries \((\d{1,9})\)")
    latency = ReportedLatency(
        count=int(queries.words[0]) if queries and one_by_one else None, min_ms=least, mean_ms=mean,
        median_ms=ranked.pop("50", None), max_ms=most, percentiles_ms=ranked,
    )  # fmt: skip
    return latency, (*ends, *shares)


def _read_rate(
    part: LogText, scenario: str, per_query: int, latency: ReportedLatency, times: tuple[LineMatch, ...]
) -> tuple[float, str, tuple[LineMatch, ...]]:
    """Images per second, how they are computed, and the lines that they are from."""
    if scenario == "Offline":
        rate = part.need("Samples per second : {n}")
        return read_rate(part, rate), "Samples per second as reported", (rate,)
    if scenario == "Server":
        rate = part.need("Completed samples per second : {n}", "Scheduled samples per second : {n}")
        return read_rate(part, rate), "samples per second as reported", (rate,)
    per_s = 1000 * per_query / latency.mean_ms
    return per_s, f"{per_query} samples a query / mean latency {latency.mean_ms:g} ms", times[2:3]


def _find_doubts(part: LogText, scenario: str, result: LineMatch) -> Iterator[str]:
    if result.words[0] != "VALID":
        reasons = "; ".join(_list_unmet(part))
        yield f"the result is {result.words[0]} (line {result.line})" + (f": {reasons}" if reasons else "")
    if scenario == "Server":
        yield "the rate is the load that was offered; what the device can do may be more"
    errors = part.match(r"^(\d{1,9}) ERRORS? encountered")
    if errors is not None:
        yield f"LoadGen counted {errors.words[0]} errors (line {errors.line}); its detailed log has them"
    yield ONE_SYSTEM


def read_unmet(log: LogText) -> tuple[str, ...]:
    """The conditions that a run did not meet, in LoadGen's words; empty where the result is VALID.

    Raises:
        RefusedFile: there is no result.
    """
    plain = log.without(r"^\s+")
    result = plain.need("Result is : {w}").words[0]
    return () if result == "VALID" else _list_unmet(plain) or (f"Result is {result}",)


def _list_unmet(part: LogText) -> tuple[str, ...]:
    return tuple(line.text for line in part.lines if line.text.endswith(": NO"))


READER = Reader(
    marks=r"MLPerf Results Summary|samples_per_query : |^SUT name : ",
    read=read,
    own_error=r"(\d+ ERRORS? encountered.*)",
)
