"""Work under way in words: what the page that follows it shows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.bench.follow import FollowedPoint
from seatrial.evaluation.follow import EvaluationProgress
from seatrial.metrics.intervals import wilson_interval
from seatrial.progress import write_duration
from seatrial.report.numbers import write_count, write_figures, write_percent
from seatrial.report.tables import NOTHING
from seatrial.store.records import NO_LABELS
from seatrial.store.summary import RunSummary
from seatrial.train.tracking.follow import TrainingProgress
from seatrial.ui.work import QUIET_S, FollowedWork

WIDTH, HEIGHT = 600, 120
"""Of a chart, in its own units."""
SO_FAR = (
    "Top-1 is that of the images so far, with Wilson's 95 % interval. They come in the order of the set: where that is "
    "sorted by class, it says little of the rest."
)
STEP_FIGURES = (
    ("epoch", "Epoch"),
    ("loss", "Loss of the last step"),
    ("lr", "Learning rate"),
    ("images_per_s", "Images/s"),
)
"""Figures of a step that are shown."""
TITLES = {"evaluation": "Evaluation of {}", "measurement": "Measurement of {}", "training": "Training in {}"}


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of figures."""

    title: str
    points: str
    """As SVG takes them."""
    low: str
    high: str
    words: str
    """The first and the last figure, for those who do not see the line."""


@dataclass(frozen=True, slots=True)
class WorkView:
    """One piece of work, in words."""

    title: str
    state: str
    is_running: bool
    done: int = 0
    total: int = 0
    """0 where it is not known."""
    unit: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    note: str = ""
    charts: tuple[Curve, ...] = ()
    points: tuple[tuple[str, ...], ...] = ()
    """Of a measurement: scope, batch size, streams and images/s."""


def list_engines(summary: RunSummary) -> Iterator[tuple[str, str, str, str]]:
    """Each engine of a run: name, top-1 with its interval, images and best rate, as far as they are there."""
    for engine in summary.engines:
        best = max((figure.images_per_s for figure in engine.figures if figure.scope == "host"), default=None)
        top1 = NO_LABELS if engine.images else NOTHING
        if engine.top1 is not None and engine.top1_low is not None and engine.top1_high is not None:
            top1 = (
                f"{write_percent(engine.top1)} ({write_percent(engine.top1_low)} to {write_percent(engine.top1_high)})"
            )
        images = NOTHING if engine.images is None else write_count(engine.images)
        yield engine.name, top1, images, NOTHING if best is None else write_figures(best)


def describe_work(followed: FollowedWork) -> WorkView:
    """One piece of work in words."""
    work, progress = followed.work, followed.progress
    title, state = TITLES[work.kind].format(work.name), _describe_state(followed)
    if isinstance(progress, EvaluationProgress):
        return _describe_evaluation(title, state, followed.is_running, progress)
    if isinstance(progress, TrainingProgress):
        return _describe_training(title, state, followed.is_running, progress)
    if progress is not None:
        return _describe_measurement(title, state, followed.is_running, progress)
    return WorkView(title, f"{state}; nothing is finished yet", followed.is_running)


def _describe_state(followed: FollowedWork) -> str:
    quiet = write_duration(followed.quiet_s)
    if followed.is_running:
        return "running" if followed.quiet_s < QUIET_S else f"running; nothing was written for {quiet}"
    if followed.quiet_s < QUIET_S:
        return f"written {quiet} ago"
    return f"stopped, or waiting: nothing was written for {quiet}; the same command goes on from here"


def _describe_evaluation(title: str, state: str, is_running: bool, found: EvaluationProgress) -> WorkView:
    facts = []
    if found.hits and found.predicted:
        facts.append(("Top-1 so far, %", _write_share(found.hits[0] / found.predicted, found.predicted)))
        facts.append((f"Top-{len(found.hits)} so far, %", write_percent(found.hits[-1] / found.predicted)))
    if found.images_per_s:
        facts.append(("Images/s", write_figures(found.images_per_s)))
        left = (found.total - found.done) / found.images_per_s
        facts += [("Left", f"about {write_duration(left)}")] if is_running and left > 0 else []
    facts += [("Unreadable images", write_count(found.bad))] if found.bad else []
    facts += [("Attempts", str(found.attempts))] if found.attempts > 1 else []
    note = SO_FAR if found.hits else ""
    return WorkView(title, state, is_running, found.done, found.total, "images", tuple(facts), note)


def _describe_training(title: str, state: str, is_running: bool, found: TrainingProgress) -> WorkView:
    last = {} if found.last is None else found.last
    figures = {name: value for name, value in last.items() if isinstance(value, int | float)}
    facts = [(words, _write(figures[name])) for name, words in STEP_FIGURES if name in figures]
    tops = _find_pairs(found.epochs, "epoch", "val_top1")
    if tops:
        epoch, top1 = tops[-1]
        images = dict(_find_pairs(found.epochs, "epoch", "val_images")).get(epoch, 0)
        facts.append(("Validation top-1, %", f"{_write_share(top1, int(images))} after epoch {epoch:g}"))
    losses = _find_pairs(found.curve, "step", "loss")
    charts = (
        *_draw("Loss by step", losses),
        *_draw("Validation top-1 by epoch, %", [(epoch, 100 * top1) for epoch, top1 in tops]),
    )
    done, total = int(figures.get("step", 0)), int(figures.get("steps", 0))
    return WorkView(title, state, is_running, done, total, "steps", tuple(facts), charts=charts)


def _write_share(share: float, images: int) -> str:
    """An accuracy in percent, with its interval where the images are known (0: they are not)."""
    if images <= 0:
        return write_percent(share)
    low, high = wilson_interval(round(share * images), images)
    return f"{write_percent(share)} ({write_percent(low)} to {write_percent(high)})"


def _write(figure: float) -> str:
    return write_count(figure) if isinstance(figure, int) else write_figures(figure)


def _find_pairs(lines: Sequence[dict[str, Any]], x: str, y: str) -> list[tuple[float, float]]:
    """Two figures of each line that has both."""
    pairs = ((line.get(x), line.get(y)) for line in lines)
    return [(a, b) for a, b in pairs if isinstance(a, int | float) and isinstance(b, int | float)]


def _draw(title: str, figures: Sequence[tuple[float, float]]) -> Iterator[Curve]:
    """A chart of at least two figures, (x, y)."""
    if len(figures) < 2:
        return
    xs, ys = zip(*figures, strict=True)
    low, high = min(ys), max(ys)
    across, up = (xs[-1] - xs[0]) or 1, (high - low) or 1
    places = (f"{WIDTH * (x - xs[0]) / across:.1f},{HEIGHT * (high - y) / up:.1f}" for x, y in figures)
    words = f"{title}: {write_figures(ys[0])} at first, {write_figures(ys[-1])} now"
    yield Curve(title, " ".join(places), write_figures(low), write_figures(high), words)


def _describe_measurement(title: str, state: str, is_running: bool, points: Sequence[FollowedPoint]) -> WorkView:
    done = sum(point.images_per_s is not None for point in points)
    rows = tuple(
        (
            point.plan.scope,
            str(point.plan.batch_size),
            str(point.plan.streams),
            NOTHING if point.images_per_s is None else write_figures(point.images_per_s),
        )
        for point in points
    )
    best = max((point.images_per_s for point in points if point.images_per_s is not None), default=None)
    facts = () if best is None else (("Best images/s so far", write_figures(best)),)
    return WorkView(title, state, is_running, done, len(points), "points", facts, points=rows)
