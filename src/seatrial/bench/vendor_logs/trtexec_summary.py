"""What trtexec prints at the end: one line for each kind of time since TensorRT 8, blocks of lines in TensorRT 7."""

import re
from dataclasses import dataclass

from seatrial.bench.vendor_logs.log import AS_PRINTED, NUMBER, LineMatch, LogText
from seatrial.bench.vendor_logs.reading import read_count, read_rate
from seatrial.errors import RefusedFile
from seatrial.store.imported import ReportedLatency

HEADING = "=== Performance summary ==="
OLD_HEADINGS = ("Host Latency", "Host latency")
"""Of 7.1 and later, and of 7.0."""
STATISTICS = "min = {n} ms, max = {n} ms, mean = {n} ms, median = {n} ms{w}"
PERCENTILES = re.compile(rf"(?:, percentile\({NUMBER}%\) = {NUMBER} ms)*")
ONE_PERCENTILE = re.compile(rf"percentile\(({NUMBER})%\) = ({NUMBER}) ms")


@dataclass(frozen=True, slots=True)
class Times:
    """One kind of time, and the lines of its figures."""

    latency: ReportedLatency
    matches: tuple[LineMatch, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one run, whatever the version that printed them."""

    queries_per_s: LineMatch
    """A query is a batch where the batch is explicit, an image where it is implicit."""
    host: Times
    """To the device, computing, and back."""
    gpu: Times
    walltime: LineMatch
    copies: tuple[LineMatch, LineMatch] | None = None
    """To the device and back, their means at index 2; TensorRT 7 does not print them."""


def read_summary(part: LogText, images_per_query: int) -> Summary:
    """The summary of one run.

    Raises:
        RefusedFile: a figure is missing or is none; names the line.
    """
    old = part.find(*OLD_HEADINGS)
    return _read_rows(part, images_per_query) if old is None else _read_blocks(part.after(old.line))


def _read_rows(part: LogText, images_per_query: int) -> Summary:
    summary = part.after(part.need(HEADING).line)
    rate = summary.need("Throughput: {n} qps")
    rows = {name: summary.need(f"{name}: {STATISTICS}") for name in ("Latency", "H2D Latency", "GPU Compute Time")}
    rows["D2H Latency"] = summary.need(f"D2H Latency: {STATISTICS}")
    walltime, total = summary.need("Total Host Walltime: {n} s"), summary.need("Total GPU Compute Time: {n} s")
    again = summary.find(HEADING)
    if again is not None:
        raise RefusedFile(f"{part.name} line {again.line} begins a second summary", "give each run a file of its own")
    queries = part.find("Timing trace has {n} queries over {n} s")
    gpu = rows["GPU Compute Time"]
    count = read_count(part, queries) // images_per_query if queries else _count(part, total, gpu, 2)
    return Summary(
        rate,
        _read_row(part, rows["Latency"], count),
        _read_row(part, gpu, count),
        walltime,
        (rows["H2D Latency"], rows["D2H Latency"]),
    )


def _read_row(part: LogText, row: LineMatch, count: int) -> Times:
    rest = row.words[4]
    if not PERCENTILES.fullmatch(rest):
        raise RefusedFile(
            f"{part.name} line {row.line} ends in '{rest[-60:]}', not in percentiles such as 'percentile(99%) = 1 ms'",
            AS_PRINTED,
        )
    read_rate(part, row, 2)
    shares = {share: float(ms) for share, ms in ONE_PERCENTILE.findall(rest)}
    return Times(_make_latency(tuple(row.figure(index) for index in range(4)), shares, count), (row,))


def _read_blocks(summary: LogText) -> Summary:
    """TensorRT 7's: `Host Latency`, since 7.1 `Enqueue Time`, then `GPU Compute`."""
    rate, walltime = summary.need("throughput: {n} qps"), summary.need("walltime: {n} s")
    gpu = summary.after(summary.need("GPU Compute").line)
    total = gpu.need("total compute time: {n} s")
    # Counted from the times, because with an explicit batch it prints 0 queries.
    count = _count(summary, total, gpu.need("mean: {n} ms"), 0)
    host = _read_block(
        summary.upto(rate.line), " ms (end to end {n} ms)", " ms at {n}% (end to end {n} ms at {n}%)", count
    )
    return Summary(rate, host, _read_block(gpu, " ms", " ms at {n}%", count), walltime)


def _read_block(block: LogText, unit: str, at: str, count: int) -> Times:
    rows = tuple(block.need(f"{name}: {{n}}{unit}") for name in ("min", "max", "mean", "median"))
    percentile = block.need(f"percentile: {{n}}{at}")
    read_rate(block, rows[2])
    shares = {f"{percentile.figure(1):g}": percentile.figure()}
    return Times(_make_latency(tuple(row.figure() for row in rows), shares, count), (*rows, percentile))


def _make_latency(figures: tuple[float, ...], shares: dict[str, float], count: int) -> ReportedLatency:
    least, most, mean, median = figures
    return ReportedLatency(
        count=count, min_ms=least, mean_ms=mean, median_ms=median, max_ms=most, percentiles_ms=shares
    )


def _count(log: LogText, total_s: LineMatch, mean_ms: LineMatch, index: int) -> int:
    return max(1, round(1000 * read_rate(log, total_s) / read_rate(log, mean_ms, index)))
