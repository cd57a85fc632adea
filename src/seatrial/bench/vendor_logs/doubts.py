"""Reasons to doubt the figures of another tool, whichever tool it is."""

import re
from collections.abc import Iterator, Sequence

from seatrial.bench.spread import NOISE, P99_SAMPLES
from seatrial.store.imported import ImportedPoint

SHARE_99 = 99.0
TOO_FAST = 1.05
"""A rate above what the time of each batch allows by more than this is impossible."""
WAITING = 0.8
"""Below this share of it, batches were waited for."""


def doubt_rate(point: ImportedPoint) -> Iterator[str]:
    """Why rate and mean latency do not fit, by Little's law: batches in flight = rate × time of each."""
    if point.latency is None or point.batch_size is None or point.streams is None:
        return
    allowed = 1000 * point.batch_size * point.streams / point.latency.mean_ms
    words = (
        f"{point.latency.mean_ms:g} ms for {point.batch_size} images on "
        f"{point.streams} {'stream' if point.streams == 1 else 'streams'}, which makes {allowed:.6g} images/s"
    )
    if point.images_per_s > TOO_FAST * allowed:
        yield f"{point.images_per_s:.6g} images/s contradict the mean latency of {words}"
    elif point.images_per_s < WAITING * allowed:
        yield f"only {point.images_per_s:.6g} images/s at a mean latency of {words}: time passed between runs"


def doubt_points(points: Sequence[ImportedPoint], models: Sequence[str | None]) -> Iterator[str]:
    """Too few runs, a model built for another batch size, repeats that disagree."""
    for point, model in zip(points, models, strict=True):
        label = f"batch {point.batch_size or 'not stated'}"
        yield from (f"{label}: {doubt}" for doubt in _doubt_point(point, model))
    yield from _doubt_repeats(points)


def _doubt_point(point: ImportedPoint, model: str | None) -> Iterator[str]:
    latency = point.latency
    if latency is not None and latency.count == 1:
        yield f"only one run in {point.file}"
    elif latency is not None and any(float(share) >= SHARE_99 for share in latency.percentiles_ms):
        if latency.count is None:
            yield f"{point.file} does not state how many runs the 99th percentile rests on; it takes {P99_SAMPLES}"
        elif latency.count < P99_SAMPLES:
            yield f"{latency.count} runs are too few to state a 99th percentile, which takes {P99_SAMPLES}"
    built_for = re.search(r"bs_?(\d+)", model or "")
    if built_for and point.batch_size and int(built_for[1]) != point.batch_size:
        yield f"the model's name, {model}, has batch {built_for[1]}"


def _doubt_repeats(points: Sequence[ImportedPoint]) -> Iterator[str]:
    groups: dict[tuple[object, ...], list[float]] = {}
    for point in points:
        key = (point.batch_size, point.scope, point.streams, point.input, point.chips)
        groups.setdefault(key, []).append(point.images_per_s)
    for (batch, scope, *_), rates in groups.items():
        spread = max(rates) / min(rates) - 1
        if spread > NOISE:
            yield (
                f"batch {batch or 'not stated'}: {len(rates)} runs in scope {scope} disagree by {spread:.0%} "
                f"(from {min(rates):.6g} to {max(rates):.6g} images/s)"
            )
