"""trtexec of TensorRT 7 to 11 (formats: `samples/common/sampleReporting.cpp` and `sampleOptions.cpp` of its tags).

Three things changed between versions and decide what a figure means. TensorRT 7 prints 0 qps for an explicit batch. A
query is a batch where the batch is explicit and an image where it is implicit (7 and 8). Copies are inside the clock
up to 10 unless `--noDataTransfers`, and outside it from 11 on unless `--includeDataTransfers`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from seatrial.bench.vendor_logs.log import AS_PRINTED, NUMBER, LineMatch, LogText
from seatrial.bench.vendor_logs.reading import (
    TOO_FAST,
    WAITING,
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

PREFIX = r"^\s*(?:\[[\d/]+-[\d:]+\]\s*)?(?:\[[VIWEF]\])?"
SHAPES = (
    r"Input inference shape\s*:\s*(\S+?)=(\d{1,9}(?:x\d{1,9})*)$",
    r"(?:Created input|Input) binding for (\S+) with dimensions (\d{1,9}(?:x\d{1,9})*)(?!\d)",
    r"--shapes=([^:\s]+):(\d{1,9}(?:x\d{1,9})*)(?!\d)",
)
IMAGE_AXES = 4
"""A shape of images begins with the batch; with fewer axes the batch is implicit and not in it."""
MORE_THAN_RUNS = 1.5
"""With more queries than this for each run, queries are images."""
WARNINGS = ("* GPU compute time is unstable{w}", "* Throughput may be bound by{w}", "* Multiple inference streams{w}")
HEADING = "=== Performance summary ==="
OLD_HEADINGS = ("Host Latency", "Host latency")
"""Of 7.1 and later, and of 7.0."""
STATISTICS = "min = {n} ms, max = {n} ms, mean = {n} ms, median = {n} ms{w}"
PERCENTILES = re.compile(rf"(?:, percentile\({NUMBER}%\) = {NUMBER} ms)*")
ONE_PERCENTILE = re.compile(rf"percentile\(({NUMBER})%\) = ({NUMBER}) ms")


@dataclass(frozen=True, slots=True)
class _Setup:
    """How a run was set up."""

    batch_size: int
    images_per_query: int
    streams: int
    input: str | None
    matches: tuple[LineMatch | None, ...]


@dataclass(frozen=True, slots=True)
class _Times:
    """One kind of time, and the lines of its figures."""

    latency: ReportedLatency
    matches: tuple[LineMatch, ...]


@dataclass(frozen=True, slots=True)
class _Summary:
    """The figures of one run, whatever the version that printed them."""

    queries_per_s: LineMatch
    """A query is a batch where the batch is explicit, an image where it is implicit."""
    host: _Times
    """To the device, computing, and back."""
    gpu: _Times
    walltime: LineMatch
    copies: tuple[LineMatch, LineMatch] | None = None
    """To the device and back, their means at index 2; TensorRT 7 does not print them."""


def read(log: LogText, hints: LogHints) -> Reading:
    """One run of trtexec, or several in one file.

    Raises:
        RefusedFile: a run has no complete summary, or trtexec itself reports it as failed.
        UsageError: the batch size is not stated, or is not the one given.
    """
    return join_runs(log, [_read_run(part, hints) for part in log.without(PREFIX).split(r"^&&&& RUNNING ")])


def _read_run(part: LogText, hints: LogHints) -> Reading:
    failed = part.find("&&&& FAILED {w}")
    if failed is not None:
        raise RefusedFile(
            f"{part.name} line {failed.line}: trtexec reports this run as failed", "give the log of a run that passed"
        )
    version = _read_version(part)
    setup = _read_setup(part, hints)
    old = part.find(*OLD_HEADINGS)
    summary = _read_blocks(part.after(old.line)) if old else _read_rows(part, setup.images_per_query)
    points = tuple(_make_points(part, summary, setup, version))
    device = part.find("Selected Device: {w}")
    precision, doubt = _read_precision(part)
    return Reading(
        points,
        version,
        part.word(r"--(?:onnx|loadEngine|uff|deploy|model)=(\S+)") or part.word(r"^Model: (\S+)"),
        device.words[0] if device else None,
        precision,
        tuple(filter(None, (doubt, *_find_doubts(part, summary, points[0])))),
    )


def _read_version(part: LogText) -> str | None:
    """From `TensorRT version: 8.0.1`, `[TensorRT v8601]` (8.6.1), `[TensorRT v100200]` (10.2.0), or the wording."""
    spelled = part.word(r"TensorRT version: (\d+(?:\.\d+)+)")
    if spelled is not None:
        return spelled
    packed = part.word(r"\[TensorRT v(\d{4,6})\]")
    if packed is None:
        return "7" if part.find(*OLD_HEADINGS) else None
    number = int(packed)
    unit = 10_000 if number >= 100_000 else 1_000
    return f"{number // unit}.{number % unit // 100}.{number % 100}"


def _read_setup(part: LogText, hints: LogHints) -> _Setup:
    implicit = _find_implicit(part)
    shape = next(filter(None, map(part.match, SHAPES)), None)
    sizes = shape.words[1].split("x") if shape else []
    streams = part.find("Inference Streams: {n}", "Streams: {n}")
    source = implicit or shape
    size = read_count(part, implicit) if implicit else int(sizes[0]) if len(sizes) >= IMAGE_AXES else None
    batch_size = settle_batch(part, size, source.line if source else None, hints)
    return _Setup(
        batch_size,
        batch_size if implicit else 1,
        read_count(part, streams) if streams else 1,
        ":".join(shape.words) if shape else None,
        (source, streams),
    )


def _find_implicit(part: LogText) -> LineMatch | None:
    """The line of an implicit batch; `Batch: 1` is also printed when an engine of any explicit batch is loaded."""
    flag, printed = part.match(r"--batch=(\d{1,9})\b"), part.find("Batch: {n}")
    if printed is not None and printed.figure() == 1 and flag is None and part.match("--loadEngine="):
        return None
    return printed or flag


def _read_scope(part: LogText, summary: _Summary, version: str | None) -> tuple[bool, str, LineMatch | None]:
    """Whether copies were inside the clock, the reason, and its line."""
    transfers = part.match(r"^Data transfers: (Enabled|Disabled)$")
    if transfers is not None:
        return transfers.words[0] == "Enabled", f"the log has 'Data transfers: {transfers.words[0]}'", transfers
    if version is None and summary.copies is not None:
        copied = any(copy.figure(2) > 0 for copy in summary.copies)
        return copied, f"H2D and D2H latencies are {'not ' if copied else ''}0", summary.copies[0]
    major = int((version or "7").split(".")[0])
    switch = "--includeDataTransfers" if major >= 11 else "--noDataTransfers"
    given = part.match(f"({switch})\\b")
    usual = "leaves copies out" if major >= 11 else "times copies"
    because = f"trtexec {major} {usual}, and {switch} was {'' if given else 'not '}given"
    return (given is not None) == (major >= 11), because, given


def _make_points(part: LogText, summary: _Summary, setup: _Setup, version: str | None) -> Iterator[ImportedPoint]:
    """The rate that trtexec reports, and the GPU's own where copies are in the first and queries do not overlap."""
    timed, because, source = _read_scope(part, summary, version)
    rate, words = _convert_rate(part, summary, setup)
    counted = summary.queries_per_s.figure() == 0
    sources = (summary.queries_per_s, summary.walltime) if counted else (summary.queries_per_s,)
    gpu, times = summary.gpu, summary.host if timed else summary.gpu
    warmup = part.find("Warmup completed {n} queries over {n} ms")
    copies = tuple(copy.figure(2) for copy in summary.copies) if summary.copies else (None, None)
    batch, streams = setup.matches
    shared = lines_of(batch_size=batch, streams=streams, warmup=warmup, duration_s=summary.walltime)
    reported = ImportedPoint(
        file=part.name, batch_size=setup.batch_size, streams=setup.streams, input=setup.input,
        scope="host" if timed else "device", scope_because=because,
        images_per_s=rate, images_per_s_because=words, latency=times.latency,
        copy_in_ms=copies[0], copy_out_ms=copies[1],
        warmup_runs=int(warmup.figure()) // setup.images_per_query if warmup else None,
        warmup_s=warmup.figure(1) / 1000 if warmup else None,
        duration_s=summary.walltime.figure(),
        lines={**shared, **lines_of(images_per_s=sources, latency=times.matches, scope=source)},
    )  # fmt: skip
    yield reported
    if timed and setup.streams == 1:
        mean = gpu.latency.mean_ms
        yield reported.model_copy(update={
            "scope": "device", "scope_because": "GPU compute time has no copies in it", "latency": gpu.latency,
            "images_per_s": 1000 * setup.batch_size / mean,
            "images_per_s_because": f"1000 × batch {setup.batch_size} / mean GPU compute time {mean:g} ms",
            "lines": {**shared, **lines_of(images_per_s=gpu.matches, latency=gpu.matches)},
        })  # fmt: skip


def _convert_rate(part: LogText, summary: _Summary, setup: _Setup) -> tuple[float, str]:
    queries, batch = summary.queries_per_s, setup.batch_size
    count, walltime = summary.host.latency.count or 1, read_rate(part, summary.walltime)
    if queries.figure() == 0 and summary.copies is None:
        words = f"{count} batches of {batch} in {walltime:g} s: trtexec 7 prints 0 qps for an explicit batch"
        return count * batch / walltime, words
    rate = read_rate(part, queries)
    # A log of 7 may not state what a query is, but its times show it: as many queries as runs, or many more.
    many = summary.copies is None and rate * walltime > MORE_THAN_RUNS * count
    if setup.images_per_query > 1 or many:
        return rate, f"{queries.words[0]} qps, images since the batch is implicit"
    return rate * batch, f"{queries.words[0]} qps × batch {batch}"


def _read_precision(part: LogText) -> tuple[str | None, str | None]:
    """The lowest precision that was allowed, and why that may not be what ran."""
    line = part.find("Precision: {w}")
    if part.match(r"--loadEngine="):
        return None, "the engine was built elsewhere, and this log does not state its precision"
    if line is None:
        return None, None
    if line.words[0].startswith("Strongly Typed"):
        return None, "the network is strongly typed: its precision is the graph's, and the log does not state it"
    allowed = re.findall(r"(?:FP|BF|INT)\d+", line.words[0].partition(" (")[0])
    if len(allowed) < 2:
        return (allowed[0].lower(), None) if allowed else (None, None)
    words = f"'Precision: {line.words[0]}' is what was allowed; how much ran in {allowed[-1]} is not stated"
    return allowed[-1].lower(), words


def _find_doubts(part: LogText, summary: _Summary, point: ImportedPoint) -> Iterator[str]:
    batch, streams = point.batch_size or 1, point.streams or 1
    label = f"batch {batch}"
    if point.scope == "device":
        yield f"{label}: copies were left out of the clock ({point.scope_because}), which an application has to make"
    if summary.copies and (point.scope == "host") != any(copy.figure(2) > 0 for copy in summary.copies):
        yield f"{label}: {point.scope_because}, but the latencies of copies disagree"
    gpu, host = (1000 * batch * streams / t.latency.mean_ms for t in (summary.gpu, summary.host))
    if point.images_per_s > TOO_FAST * gpu:
        yield f"{label}: {point.images_per_s:.6g} images/s contradict the GPU compute time, which allows {gpu:.6g}"
    if point.images_per_s < WAITING * host:
        yield f"{label}: the GPU was idle between queries: latency allows {host:.6g} images/s"
    if part.find("&&&& PASSED {w}") is None:
        yield f"{label}: the log ends before trtexec states whether it passed"
    for warning in part.find_all(*WARNINGS):
        yield f"{label}: trtexec warns (line {warning.line}): {warning.text.lstrip('* ')}"


def _read_rows(part: LogText, images_per_query: int) -> _Summary:
    summary = part.after(part.need(HEADING).line)
    rate = summary.need("Throughput: {n} qps")
    kinds = ("Latency", "H2D Latency", "GPU Compute Time", "D2H Latency")
    host, copy_in, gpu, copy_out = (summary.need(f"{kind}: {STATISTICS}") for kind in kinds)
    walltime, total = summary.need("Total Host Walltime: {n} s"), summary.need("Total GPU Compute Time: {n} s")
    again = summary.find(HEADING)
    if again is not None:
        raise RefusedFile(f"{part.name} line {again.line} begins a second summary", "give each run a file of its own")
    queries = part.find("Timing trace has {n} queries over {n} s")
    count = read_count(part, queries) // images_per_query if queries else _count(part, total, gpu, 2)
    return _Summary(
        rate,
        _read_row(part, host, count),
        _read_row(part, gpu, count),
        walltime,
        (copy_in, copy_out),
    )


def _read_row(part: LogText, row: LineMatch, count: int) -> _Times:
    rest = row.words[4]
    if not PERCENTILES.fullmatch(rest):
        raise RefusedFile(
            f"{part.name} line {row.line} ends in '{rest[-60:]}', not in percentiles such as 'percentile(99%) = 1 ms'",
            AS_PRINTED,
        )
    read_rate(part, row, 2)
    shares = {share: float(ms) for share, ms in ONE_PERCENTILE.findall(rest)}
    return _Times(_make_latency(tuple(row.figure(index) for index in range(4)), shares, count), (row,))


def _read_blocks(summary: LogText) -> _Summary:
    """TensorRT 7's: `Host Latency`, since 7.1 `Enqueue Time`, then `GPU Compute`."""
    rate, walltime = summary.need("throughput: {n} qps"), summary.need("walltime: {n} s")
    gpu = summary.after(summary.need("GPU Compute").line)
    total = gpu.need("total compute time: {n} s")
    # Counted from the times, because with an explicit batch it prints 0 queries.
    count = _count(summary, total, gpu.need("mean: {n} ms"), 0)
    host = _read_block(
        summary.upto(rate.line), " ms (end to end {n} ms)", " ms at {n}% (end to end {n} ms at {n}%)", count
    )
    return _Summary(rate, host, _read_block(gpu, " ms", " ms at {n}%", count), walltime)


def _read_block(block: LogText, unit: str, at: str, count: int) -> _Times:
    rows = tuple(block.need(f"{name}: {{n}}{unit}") for name in ("min", "max", "mean", "median"))
    percentile = block.need(f"percentile: {{n}}{at}")
    read_rate(block, rows[2])
    shares = {f"{percentile.figure(1):g}": percentile.figure()}
    return _Times(_make_latency(tuple(row.figure() for row in rows), shares, count), (*rows, percentile))


def _make_latency(figures: tuple[float, ...], shares: dict[str, float], count: int) -> ReportedLatency:
    least, most, mean, median = figures
    return ReportedLatency(
        count=count, min_ms=least, mean_ms=mean, median_ms=median, max_ms=most, percentiles_ms=shares
    )


def _count(log: LogText, total_s: LineMatch, mean_ms: LineMatch, index: int) -> int:
    return max(1, round(1000 * read_rate(log, total_s) / read_rate(log, mean_ms, index)))


READER = Reader(
    marks=r"TensorRT\.trtexec|=== (?:Performance summary|Inference Options|Model Options) ===|total compute time: \d",
    read=read,
    own_error=r"(?:\[E\]\s*|^&&&& FAILED )(.+)",
)
