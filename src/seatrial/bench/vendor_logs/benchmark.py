"""benchmark.x86_64 and benchmark.aarch64, Ascend's older tool, which times one chip (of four on a 310 card).

Closed source: the formats are those that the model zoo's guides show. With a data set it writes five lines, one for
each module, of which `Interface throughputRate` is images over the time spent in execution; the post module counts
batches. Without one (PureInfer) it prints `ave_throughputRate`. All its latencies but the dataset lines are per image.
"""

import re
import statistics
from collections.abc import Iterator

from seatrial.bench.vendor_logs.log import LineMatch, LogText
from seatrial.bench.vendor_logs.reading import (
    LogHints,
    Reader,
    Reading,
    doubt_rate,
    join_runs,
    lines_of,
    read_rate,
    settle_batch,
)
from seatrial.store.imported import ImportedPoint, ReportedLatency

INFER = tuple(
    f"[{name}] throughputRate: {{n}}, Interface throughputRate: {{n}}, moduleLatency: {{n}}"
    for name in ("infer", "inference")
)
POST = tuple(f"[{name}] throughputRate: {{n}}, moduleLatency: {{n}}" for name in ("post", "postprocess"))
PURE = (
    "ave_throughputRate: {n}samples/s, ave_latency: {n}ms",
    "ave_throughputRate = {n}samples/s, ave_latency = {n}ms",
)
NAME = r"perf_vision_batchsize_(\d{1,9})_device_\d+"
SAVED = r"PureInfer_perf_of_(.+)_in_device_\d+"
NEAR = 0.02
"""How far figures of modules that run at the same time may differ."""


def read(log: LogText, hints: LogHints) -> Reading:
    """The five lines of a run over a data set, or PureInfer's summary; several of them in one file are several points.

    Raises:
        RefusedFile: neither is complete.
        UsageError: the batch size is not stated, or is not the one given.
    """
    bare = log.without(r"^.*\[INFO\]\s*")
    pure = list(bare.find_all(*PURE))
    if pure:
        return join_runs(log, [_read_pure(part, hints) for part in bare.split_after(pure)])
    ends = list(bare.find_all(*POST)) or [bare.need(*POST)]
    return join_runs(log, [_read_modules(part, hints) for part in bare.split_after(ends)])


def _read_modules(part: LogText, hints: LogHints) -> Reading:
    whole = part.need("[e2e] throughputRate: {n}, latency: {n}")
    for name in ("data read", "preprocess"):
        part.need(f"[{name}] throughputRate: {{n}}, moduleLatency: {{n}}")
    infer, post = part.need(*INFER), part.need(*POST)
    figures = ((whole, 0), (infer, 0), (infer, 1), (post, 0))
    files_per_s, infer_per_s, interface_per_s, batches_per_s = (read_rate(part, *figure) for figure in figures)
    batch, typed = _settle_batch(part, hints)
    device = ImportedPoint(
        file=part.name, batch_size=batch, streams=1, duration_s=whole.figure(1) / 1000,
        scope="device", scope_because="Interface throughputRate counts the time in execution only",
        images_per_s=interface_per_s, images_per_s_because="Interface throughputRate as reported",
        lines=lines_of(images_per_s=infer, batch_size=typed, duration_s=whole),
    )  # fmt: skip
    files = device.model_copy(update={
        "streams": None, "scope": "e2e", "scope_because": "[e2e] counts reading, preprocessing, execution and writing",
        "images_per_s": files_per_s, "images_per_s_because": "[e2e] throughputRate as reported",
        "lines": lines_of(images_per_s=whole, batch_size=typed, duration_s=whole),
    })  # fmt: skip
    doubts = _doubt_modules(files_per_s, infer_per_s, interface_per_s, batches_per_s, batch)
    return Reading((device, files), doubts=tuple(f"batch {batch}: {doubt}" for doubt in doubts), one_chip=True)


def _settle_batch(part: LogText, hints: LogHints) -> tuple[int, LineMatch | None]:
    """The batch size of the command in the log, of the file's name, or of the hints; and the command's line."""
    typed = part.match(r"-batch_size[= ](\d{1,9})(?!\d)")
    named = re.search(NAME, part.name)
    size = int(typed.words[0]) if typed else int(named[1]) if named else None
    return settle_batch(part, size or None, typed.line if typed else None, hints), typed


def _doubt_modules(files: float, infer: float, interface: float, batches: float, batch: int) -> Iterator[str]:
    """By rates of images from end to end, in the module that infers, in execution alone; of batches in the last one."""
    per_batch = infer / batches
    # The last batch may be short, so that it is less in the mean, but never more.
    if not batch / 2 < per_batch <= batch * (1 + NEAR):
        yield f"[infer] over [post] gives {per_batch:.2f} images a batch"
    if not files <= infer * (1 + NEAR) or not infer <= interface * (1 + NEAR):
        chain = f"[e2e] {files:g} over [infer] {infer:g} to Interface {interface:g}"
        yield f"rates should grow from {chain} images/s"
    yield "the work of [preprocess] is not stated: prepared files leave it little, so [e2e] may not be from JPEG"


def _read_pure(part: LogText, hints: LogHints) -> Reading:
    summary = part.need(*PURE)
    batch, typed = _settle_batch(part, hints)
    rate, per_image_ms = read_rate(part, summary), read_rate(part, summary, 1)
    runs = list(part.find_all("Dataset number: {n} finished cost {n}ms"))
    latency = _summarise([run.figure(1) for run in runs]) if runs else ReportedLatency(mean_ms=per_image_ms * batch)
    point = ImportedPoint(
        file=part.name, batch_size=batch, streams=1, scope="device",
        scope_because="PureInfer executes on data generated once; whether copies are in the clock is not stated",
        images_per_s=rate, images_per_s_because="ave_throughputRate as reported", latency=latency,
        lines=lines_of(images_per_s=summary, latency=(*runs[:1], *runs[-1:]) or summary, batch_size=typed),
    )  # fmt: skip
    named = re.search(SAVED, part.name)
    model = part.word(SAVED) or (named[1] if named else None)
    return Reading((point,), model=model, doubts=tuple(doubt_rate(point)), one_chip=True)


def _summarise(times_ms: list[float]) -> ReportedLatency:
    return ReportedLatency(
        count=len(times_ms), min_ms=min(times_ms), mean_ms=statistics.fmean(times_ms),
        median_ms=statistics.median(times_ms), max_ms=max(times_ms),
    )  # fmt: skip


READER = Reader(
    marks=r"throughputRate\b|PureInfer|benchmark\.(?:x86_64|aarch64)\b|Dataset number: \d",
    read=read,
    own_error=r"\[ERROR\]\s*(.+)",
)
