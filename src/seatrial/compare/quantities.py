"""What a gate may name: one row of `QUANTITIES` says what it is, its unit, and how it is read from the records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from seatrial.compare.speed_column import TIMES, SpeedFigure
from seatrial.metrics.classification import METRICS, Estimate, name_top_k
from seatrial.metrics.intervals import CONFIDENCE, exact_bounds, images_to_part
from seatrial.metrics.latency import count_samples
from seatrial.metrics.topk import K
from seatrial.metrics.trust import MEASURE_AGAIN
from seatrial.store.comparison import find_confidence
from seatrial.store.records import NO_LABELS, Compared, Comparison, GateKind

SHARE = "share"
"""The unit of a fraction from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one engine, or of one record, when gates are judged."""

    name: str
    images: int = 0
    """With predictions; 0 where none were evaluated."""
    hits: tuple[int, ...] = ()
    """Images whose label is among the first 1, 2, … 5 classes; none without labels."""
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    """By name in `METRICS`."""
    compared: Compared | None = None
    """With the reference; None of the reference itself."""
    left_out: int = 0
    """Images without a prediction."""
    figures: Mapping[int | None, SpeedFigure] = field(default_factory=dict)
    """What was measured, by batch size; None is an unknown one."""
    size_bytes: int | None = None
    compile_s: float | None = None


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity's value, in its unit."""

    value: float
    bounds: tuple[float, float] | None = None
    """None where it has no interval."""
    images: int = 0
    """That it was counted on; 0 of other figures."""
    settle: Callable[[float], int | None] | None = None
    """How many more images part it from a limit: `metrics.intervals.images_to_part`."""


Read = Callable[[Evidence, int | None], Amount | str]
"""From what is known of an engine and a batch size, None where none is given; a text says why it decides nothing."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One row of `QUANTITIES`."""

    title: str
    unit: str
    kind: GateKind
    """Which exit code a failed gate on it gives: see `compare.verdict`."""
    read: Read
    higher_is_better: bool = True
    interval: str = ""
    """What its interval is; empty where it has none, or is judged without."""
    batch: Literal["none", "optional", "required"] = "none"
    """Whether it is of one batch size."""
    silent: bool = False
    """It is judged by its value alone, by its definition, so that no result says so."""


def _read_top_k(k: int, evidence: Evidence, batch_size: int | None) -> Amount | str:
    if not evidence.images or not evidence.hits:
        return _explain_absence(evidence, METRICS[name_top_k(k)].title)
    if k > len(evidence.hits):
        return f"{METRICS[name_top_k(k)].title} needs as many classes"
    return _count_share(evidence.hits[k - 1], evidence.images)


def _count_share(count: int, images: int, confidence: float = CONFIDENCE) -> Amount:
    bounds = exact_bounds(count, images, confidence)
    return Amount(count / images, bounds, images, lambda limit: images_to_part(count, images, limit, confidence))


def _read_metric(name: str, evidence: Evidence, batch_size: int | None) -> Amount | str:
    estimate = evidence.metrics.get(name)
    if estimate is None:
        return _explain_absence(evidence, METRICS[name].title)
    bounds = None if estimate.low is None or estimate.high is None else (estimate.low, estimate.high)
    return Amount(estimate.value, bounds, evidence.images)


def _explain_absence(evidence: Evidence, title: str) -> str:
    if not evidence.images:
        return f"'{evidence.name}' was not evaluated"
    return f"{title} of '{evidence.name}' is {NO_LABELS}" if not evidence.hits else f"no {title}: evaluate again"


def _read_drop(evidence: Evidence, batch_size: int | None) -> Amount | str:
    # Here, as a bare install, which has no scipy, reads the gates of a card, and so this file.
    from seatrial.evaluation.exact_drop import images_to_settle
    from seatrial.evaluation.statistics import Paired

    versus = evidence.compared
    if versus is None:
        return _explain_alone(evidence)
    if not isinstance(versus, Comparison):
        return f"the drop of '{evidence.name}' is {NO_LABELS}; agreement and changed_share need none"
    both_wrong = versus.images - versus.both_right - versus.lost - versus.gained
    paired, confidence = Paired(versus.both_right, versus.lost, versus.gained, both_wrong), versus.confidence
    return Amount(
        versus.drop_pp,
        (versus.low_pp, versus.high_pp),
        versus.images,
        lambda limit: images_to_settle(paired, limit / 100, confidence),
    )


def _read_changes(same: bool, evidence: Evidence, batch_size: int | None) -> Amount | str:
    versus = evidence.compared
    if versus is None:
        return _explain_alone(evidence)
    count = versus.images - versus.changed if same else versus.changed
    return _count_share(count, versus.images, find_confidence(versus))


def _explain_alone(evidence: Evidence) -> str:
    if not evidence.images:
        return f"'{evidence.name}' was not evaluated"
    return f"'{evidence.name}' was compared with no reference"


def _find_figure(evidence: Evidence, batch_size: int | None) -> SpeedFigure | str:
    """What was measured at a batch size, without one at that of the most images per second; a doubt is a text."""
    figures = evidence.figures
    if not figures:
        return f"'{evidence.name}' was not measured"
    size = max(figures, key=lambda size: figures[size].rate.value) if batch_size is None else batch_size
    if size not in figures:
        return f"'{evidence.name}' was not measured at batch {batch_size}"
    doubt = figures[size].rate.doubt
    return figures[size] if doubt is None else f"'{evidence.name}' is in doubt: {doubt}; {MEASURE_AGAIN}"


def _read_rate(certain: bool, evidence: Evidence, batch_size: int | None) -> Amount | str:
    found = _find_figure(evidence, batch_size)
    return found if isinstance(found, str) else Amount(found.rate.value, found.rate.bounds if certain else None)


def _read_time(name: str, evidence: Evidence, batch_size: int | None) -> Amount | str:
    found = _find_figure(evidence, batch_size)
    if isinstance(found, str):
        return found
    if name not in found.times_ms:
        return f"the record of '{evidence.name}' has no {name}"
    percent = TIMES[name]
    if percent.isdecimal() and found.samples is not None and found.samples < count_samples(int(percent)):
        return (
            f"{found.samples} samples of '{evidence.name}' are too few to state a {percent}th percentile, "
            f"which takes {count_samples(int(percent))}"
        )
    return Amount(found.times_ms[name])


def _read_most(field_name: Literal["memory_bytes", "load_s"], evidence: Evidence, size: int | None) -> Amount | str:
    """The most at a batch size, without one at any; work of others makes neither larger."""
    figures = evidence.figures
    if not figures:
        return f"'{evidence.name}' was not measured"
    if size is not None and size not in figures:
        return f"'{evidence.name}' was not measured at batch {size}"
    chosen = figures.values() if size is None else [figures[size]]
    values = [value for figure in chosen if (value := getattr(figure, field_name)) is not None]
    return Amount(float(max(values))) if values else f"the record of '{evidence.name}' has no {field_name}"


def _read_cost(field_name: Literal["size_bytes", "compile_s"], evidence: Evidence, size: int | None) -> Amount | str:
    value = getattr(evidence, field_name)
    return f"nothing says {field_name} of '{evidence.name}'" if value is None else Amount(float(value))


EXACT = "exact"
RATE = "images/s"

_ACCURACIES: Mapping[str, Quantity] = {
    **{
        name_top_k(k): Quantity(
            f"label among the first {k} classes" if k > 1 else "first class is the label",
            SHARE,
            "accuracy",
            partial(_read_top_k, k),
            interval=EXACT,
        )
        for k in range(1, K + 1)
    },
    **{
        name: Quantity(metric.title, SHARE, "accuracy", partial(_read_metric, name), metric.higher_is_better)
        for name, metric in METRICS.items()
        if name not in map(name_top_k, range(1, K + 1))
    },
    "drop_pp": Quantity(
        "drop of top-1 against the reference", "points", "accuracy", _read_drop, False, "exact for paired images"
    ),
    "agreement": Quantity(
        "first class is the reference's", SHARE, "accuracy", partial(_read_changes, True), interval=EXACT
    ),
    "changed_share": Quantity(
        "first class is not the reference's", SHARE, "accuracy", partial(_read_changes, False), False, EXACT
    ),
}
_SPEEDS: Mapping[str, Quantity] = {
    "images_per_s": Quantity(
        "images per second", RATE, "speed", partial(_read_rate, True), interval="over processes", batch="optional"
    ),
    "best": Quantity("the same by its value alone", RATE, "speed", partial(_read_rate, False), silent=True),
    "at": Quantity(
        "the same at one batch size", RATE, "speed", partial(_read_rate, False), batch="required", silent=True
    ),
    **{
        name: Quantity(
            f"{called if called.isalpha() else called + 'th percentile of the'} time of a batch",
            "ms",
            "speed",
            partial(_read_time, name),
            False,
            batch="optional",
        )
        for name, called in TIMES.items()
    },
}
_RESOURCES: Mapping[str, Quantity] = {
    "memory_bytes": Quantity(
        "most memory of a process that measured",
        "bytes",
        "resources",
        partial(_read_most, "memory_bytes"),
        False,
        batch="optional",
    ),
    "size_bytes": Quantity(
        "all files that the engine loads", "bytes", "resources", partial(_read_cost, "size_bytes"), False
    ),
    "load_s": Quantity(
        "longest time to open them", "s", "resources", partial(_read_most, "load_s"), False, batch="optional"
    ),
    "compile_s": Quantity("time to compile", "s", "resources", partial(_read_cost, "compile_s"), False),
}
QUANTITIES: Mapping[str, Quantity] = {**_ACCURACIES, **_SPEEDS, **_RESOURCES}
"""By the name that a gate gives it. To add one, add its row, and its worked example in
`tests/unit/compare/test_quantities.py`."""
