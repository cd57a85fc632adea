"""ais_bench and its forerunner ais_infer, which time the model's execution on one Ascend chip.

The throughput line has three wordings: of July 2022, of September to November 2022, and later. All give
1000 × batch / mean NPU_compute_time, copies excluded. Its `summary.json` has the same figures.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seatrial.bench.vendor_logs.log import LineMatch, LogText
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

PREFIX = r"^.*\[(?:INFO|WARNING|ERROR|DEBUG)\]\s*"
WORDINGS = {
    "throughput 1000*batchsize.mean({n})/NPU_compute_time.mean({n}): {n}": "2022-12 or later, by its wording",
    "throughput 1000*batchsize({n})/NPU_compute_time.mean({n}): {n}": "2022-09 to 2022-11, by its wording",
    "throughput (1000*batchsize/NPU_compute_time): {n}": "2022-07, by its wording",
}
"""The throughput line, and which release wrote it so."""
STATISTICS = "min = {n}, max = {n}, mean = {n}, median = {n}, percentile({n}%) = {n}"
SCOPE = "NPU_compute_time is taken around each execution, after the copy to the chip and before the copy back"
LOADED = r"^load model (.*?) success$"
EXACT = 1e-6
"""The tool computes the throughput from the two figures beside it, so that they agree to the last digits."""


def read(log: LogText, hints: LogHints) -> Reading:
    """What ais_bench printed, or its `summary.json`.

    Raises:
        RefusedFile: there is no complete summary.
        UsageError: the batch size is not stated, or is not the one given.
    """
    if log.text.lstrip().startswith("{"):
        return _read_json(log, hints)
    bare = log.without(PREFIX)
    if bare.match("dyshape_range Performance Summary"):
        raise RefusedFile(f"{log.name} summarises runs of many shapes", "give the log of one shape")
    rates = list(bare.find_all(*WORDINGS)) or [bare.need(next(iter(WORDINGS)))]
    totals = list(bare.find_all("summary throughput:{n}"))
    if not totals:
        return join_runs(log, [_read_run(part, rate, hints) for part, rate in _split_runs(bare, rates)])
    if len(totals) > 1:
        raise RefusedFile(f"{log.name} line {totals[1].line} ends a second run over several chips", "give one run")
    return _read_chips(bare, rates, totals[0], hints)


def _split_runs(bare: LogText, rates: Sequence[LineMatch]) -> Iterator[tuple[LogText, LineMatch]]:
    for rate, part in zip(rates, bare.split_after(rates), strict=True):
        chips = {opened.words[0] for opened in part.find_all("open device {n} success")}
        if len(chips) > 1 or (rate is not rates[0] and not part.find("load model {w}")):
            raise RefusedFile(
                f"{bare.name} line {rate.line} ends the summary of one of several chips that ran at once, "
                "but their 'summary throughput:NUMBER' is missing",
                "give the complete log",
            )
        yield part, rate
    begun = bare.after(rates[-1].line).find("acl init success", "load model {w}")
    if begun is not None:
        raise RefusedFile(f"{bare.name} line {begun.line} begins a run that has no summary", "give the complete log")


def _read_run(part: LogText, rate: LineMatch, hints: LogHints) -> Reading:
    mean, latency, times = _read_times(part)
    size, doubts = _check_rate(part, rate, mean)
    batch = settle_batch(part, size, rate.line, hints)
    copies = [part.find(f"{name}_latency (ms): {STATISTICS}") for name in ("H2D", "D2H")]
    warmup = part.match(r"^warm ?up (\d{1,9}) (?:times )?done")
    point = ImportedPoint(
        file=part.name, batch_size=batch, streams=None if latency.median_ms is None else 1,
        scope="device", scope_because=SCOPE,
        images_per_s=read_rate(part, rate, -1), images_per_s_because=_explain(batch, mean),
        latency=latency, warmup_runs=int(warmup.words[0]) if warmup else None,
        copy_in_ms=copies[0].figure(2) if copies[0] else None, copy_out_ms=copies[1].figure(2) if copies[1] else None,
        lines=lines_of(images_per_s=rate, batch_size=rate, latency=times, warmup=warmup),
    )  # fmt: skip
    doubts = (*doubts, *(f"batch {batch}: {doubt}" for doubt in _doubt_inputs(part)))
    return Reading((point,), _read_wording(part), part.word(LOADED), doubts=doubts, one_chip=True)


def _read_chips(bare: LogText, rates: Sequence[LineMatch], total: LineMatch, hints: LogHints) -> Reading:
    """One run on several chips at once: its rate is their sum."""
    checked = [_check_rate(bare, rate, None) for rate in rates]
    sizes = {size for size, _ in checked}
    batch = settle_batch(bare, sizes.pop() if len(sizes) == 1 else None, rates[0].line, hints)
    added = sum(read_rate(bare, rate, -1) for rate in rates)
    doubts = [doubt for _, reasons in checked for doubt in reasons]
    doubts.append(f"batch {batch}: latencies of chips that ran at once are not merged")
    if not math.isclose(added, total.figure(), rel_tol=EXACT):
        words = f"add up to {added:.6g} images/s, not to {total.words[0]} (line {total.line})"
        doubts.append(f"batch {batch}: the chips' throughputs {words}")
    point = ImportedPoint(
        file=bare.name, batch_size=batch, streams=1, scope="device", scope_because=SCOPE, chips=len(rates),
        images_per_s=read_rate(bare, total) / len(rates),
        images_per_s_because=f"summary throughput {total.words[0]} / {len(rates)} chips",
        lines=lines_of(images_per_s=(total, *rates)),
    )  # fmt: skip
    return Reading((point,), _read_wording(bare), bare.word(LOADED), doubts=tuple(doubts), one_chip=True)


def _doubt_inputs(part: LogText) -> Iterator[str]:
    if not part.match("filesperbatch"):
        yield "the log names no input files: without them it feeds zeros"
    for copy in part.find_all("H2D_latency ({w}): {w}", "D2H_latency ({w}): {w}"):
        if copy.words[0] != "ms":
            yield f"a copy is given in {copy.words[0]} (line {copy.line}), not in ms, and left out"


def _read_times(part: LogText) -> tuple[float, ReportedLatency, LineMatch]:
    """Mean, statistics and line of NPU_compute_time; with several threads there is only the mean."""
    times = part.need(f"NPU_compute_time (ms): {STATISTICS}", "NPU_compute_time (ms): mean = {n}")
    loops = list(part.find_all("loop inference exec: ({n}/{n}){w}"))
    files = part.match(r"runcount:(\d{1,9})(?!\d)")
    count = read_count(part, loops[-1], 1) if loops else read_count(part, files) if files else None
    if len(times.words) == 1:
        mean = read_rate(part, times)
        return mean, ReportedLatency(count=count, mean_ms=mean), times
    least, most, mean, median, share, value = (times.figure(index) for index in range(6))
    read_rate(part, times, 2)
    latency = ReportedLatency(
        count=count, min_ms=least, mean_ms=mean, median_ms=median, max_ms=most, percentiles_ms={f"{share:g}": value}
    )
    return mean, latency, times


def _check_rate(part: LogText, rate: LineMatch, mean_ms: float | None) -> tuple[int | None, tuple[str, ...]]:
    """The batch size behind a throughput, and whether the figures beside it give that throughput."""
    images_per_s = read_rate(part, rate, -1)
    if len(rate.words) == 1:
        if mean_ms is None:
            return None, ()
        return _derive_batch(images_per_s, mean_ms), ()
    size, mean = read_rate(part, rate, 0), read_rate(part, rate, 1)
    doubts = list(_compare_rates(rate, 1000 * size / mean))
    if mean_ms is not None and not math.isclose(mean, mean_ms, rel_tol=EXACT):
        doubts.append(
            f"the throughput (line {rate.line}) is computed from a mean of {mean:g} ms, the statistics have {mean_ms:g}"
        )
    if size == 1 and "batchsize.mean" not in rate.text:
        doubts.append(
            "releases to November 2022 take batch size 1 unless --batchsize gives another, whatever the model's is"
        )
    if not size.is_integer():
        doubts.append(f"the batch size varied, {rate.words[0]} in the mean")
    return int(size) if size.is_integer() else None, tuple(f"batch {rate.words[0]}: {doubt}" for doubt in doubts)


def _compare_rates(rate: LineMatch, exact: float) -> Iterator[str]:
    words = rate.words[-1]
    if math.isclose(float(words), exact, rel_tol=EXACT):
        return
    digits = len(words.partition(".")[2])
    if math.floor(exact * 10**digits) == round(float(words) * 10**digits):
        yield f"throughput {words} (line {rate.line}) was truncated, not rounded: it is {exact:.{digits + 3}f}"
    elif round(exact, digits) != float(words):
        yield f"throughput {words} (line {rate.line}) contradicts the figures beside it, which give {exact:.6f}"


def _derive_batch(rate: float, mean_ms: float) -> int | None:
    size = rate * mean_ms / 1000
    return round(size) if round(size) >= 1 and math.isclose(size, round(size), rel_tol=1e-4) else None


def _explain(batch: int, mean_ms: float) -> str:
    return f"as reported: 1000 × batch {batch} / mean NPU_compute_time {mean_ms:g} ms"


def _read_wording(part: LogText) -> str | None:
    return next((release for wording, release in WORDINGS.items() if part.find(wording)), None)


def _read_json(log: LogText, hints: LogHints) -> Reading:
    """The `summary.json` (`sumary.json` in 2022) beside the results."""
    values: dict[str, Any] = read_object(log)
    times = values.get("NPU_compute_time")
    if not isinstance(times, Mapping):
        raise RefusedFile(f"{log.name} has no 'NPU_compute_time'", "give the summary.json that ais_bench wrote")
    rate, mean = read_value(log, values, "throughput"), read_value(log, times, "mean")
    line = log.locate('"throughput"')
    batch = settle_batch(log, _derive_batch(rate, mean), line, hints)
    copies = [_read_mean(log, values.get(f"{name}_latency")) for name in ("H2D", "D2H")]
    arguments = values.get("args")
    model = arguments.get("model") if isinstance(arguments, Mapping) else None
    point = ImportedPoint(
        file=log.name, batch_size=batch, streams=1, scope="device", scope_because=SCOPE, images_per_s=rate,
        images_per_s_because=_explain(batch, mean), latency=_read_json_times(log, times, mean),
        copy_in_ms=copies[0], copy_out_ms=copies[1],
        lines={"images_per_s": (line,), "latency": (log.locate('"NPU_compute_time"'),)},
    )  # fmt: skip
    return Reading(
        (point,), model=model if isinstance(model, str) else None, doubts=tuple(doubt_rate(point)), one_chip=True
    )


def _read_json_times(log: LogText, times: Mapping[str, Any], mean: float) -> ReportedLatency:
    shares = {key[11:-2]: read_value(log, times, key) for key in times if re.fullmatch(r"percentile\(.+%\)", key)}
    least, most, median = (read_value(log, times, key) if key in times else None for key in ("min", "max", "median"))
    count = int(read_value(log, times, "count")) if "count" in times else None
    return ReportedLatency(
        count=count, min_ms=least, mean_ms=mean, median_ms=median, max_ms=most, percentiles_ms=shares
    )


def _read_mean(log: LogText, times: Any) -> float | None:
    return read_value(log, times, "mean") if isinstance(times, Mapping) and times.get("mean") else None


READER = Reader(
    marks=r"NPU_compute_time|acl init success|ais_(?:infer|bench)|msit benchmark|create model description success",
    read=read,
    own_error=r"\[ERROR\]\s*(.+)",
)
