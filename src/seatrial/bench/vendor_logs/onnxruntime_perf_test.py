"""onnxruntime_perf_test (formats: `onnxruntime/test/perftest/performance_runner.cc` of its versions).

A request is one call of the session with the whole batch, inputs in host memory. The log does not state the batch size.
"""

from seatrial.bench.vendor_logs.log import LineMatch, LogText
from seatrial.bench.vendor_logs.reading import (
    LogHints,
    Reader,
    Reading,
    doubt_rate,
    join_runs,
    lines_of,
    read_count,
    read_rate,
    settle_batch,
)
from seatrial.store.imported import ImportedPoint, ReportedLatency

SHARES = {"P50": "50", "P90": "90", "P95": "95", "P99": "99", "P999": "99.9"}
ALONE = 1.05
"""Requests that took longer in sum than the run by more than this ran at the same time."""


def read(log: LogText, hints: LogHints) -> Reading:
    """One run or several, in the wording of today or of before 2020.

    Raises:
        RefusedFile: a figure is missing.
        UsageError: the batch size was not given.
    """
    bare = log.without(r"^\s+")
    if bare.find("Total time cost:{n}"):
        return join_runs(log, [_read_old(part, hints) for part in bare.split(r"^Total time cost:")])
    return join_runs(log, [_read_run(part, hints) for part in bare.split(r"^Session creation time cost:")])


def _read_run(part: LogText, hints: LogHints) -> Reading:
    total, requests = part.need("Total inference time cost: {n} s"), part.need("Total inference requests: {n}")
    mean = part.need("Average inference time cost: {n} ms", "Average inference time cost total: {n} ms")
    duration, rate = part.need("Total inference run time: {n} s"), part.need("Number of inferences per second: {n}")
    alone = read_rate(part, total) <= ALONE * read_rate(part, duration)
    return _finish(part, hints, (requests, mean, rate, duration), alone)


def _read_old(part: LogText, hints: LogHints) -> Reading:
    total, runs = part.need("Total time cost:{n}"), part.need("Total iterations:{n}")
    mean = part.need("Average time cost:{n} ms")
    return _finish(part, hints, (runs, mean, None, total), alone=True)


def _finish(
    part: LogText, hints: LogHints, lines: tuple[LineMatch, LineMatch, LineMatch | None, LineMatch], alone: bool
) -> Reading:
    requests, mean, rate, duration = lines
    batch, count = settle_batch(part, None, None, hints), read_count(part, requests)
    per_s = read_rate(part, rate) if rate else count / read_rate(part, duration)
    reported = f"{rate.words[0]} inferences/s" if rate else f"{count} iterations in {duration.words[0]} s"
    point = ImportedPoint(
        file=part.name, batch_size=batch, streams=1 if alone else None, scope="host",
        scope_because="a request runs from inputs in host memory to outputs in host memory",
        images_per_s=per_s * batch, images_per_s_because=f"{reported} × batch {batch}",
        latency=_read_latency(part, count, read_rate(part, mean)), warmup_runs=1, duration_s=duration.figure(),
        lines=lines_of(images_per_s=rate or (requests, duration), latency=mean, duration_s=duration),
    )  # fmt: skip
    doubts = [*doubt_rate(point)]
    if not alone:
        doubts.append(
            f"batch {batch}: requests ran at the same time, how many is not stated: their latencies include waiting"
        )
    return Reading((point,), doubts=tuple(doubts))


def _read_latency(part: LogText, count: int, mean_ms: float) -> ReportedLatency:
    """With the percentiles that `-s` brings; all of them or none."""
    least = part.find("Min Latency: {n} s")
    if least is None:
        return ReportedLatency(count=count, mean_ms=mean_ms)
    most = part.need("Max Latency: {n} s")
    shares = {share: 1000 * part.need(f"{name} Latency: {{n}} s").figure() for name, share in SHARES.items()}
    median = shares.pop("50")
    return ReportedLatency(
        count=count, min_ms=1000 * least.figure(), mean_ms=mean_ms, median_ms=median, max_ms=1000 * most.figure(),
        percentiles_ms=shares,
    )  # fmt: skip


READER = Reader(
    marks=r"Session creation time cost:|Total (?:inference )?(?:requests|iterations|time cost):|onnxruntime_perf_test",
    read=read,
    own_error=r"(?:\[E:onnxruntime:[^\]]*\]\s*|^(?:failed|Error)\b[: ]*)(.+)",
)
