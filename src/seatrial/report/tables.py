"""Records as rows of finished text, the same for every format."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from seatrial.metrics.classification import BEYOND_TOP_K, METRICS, name_top_k
from seatrial.metrics.trust import MEASURE_RUN_AGAIN
from seatrial.report.formats import Grid
from seatrial.report.headline import gates_of, outcome_of
from seatrial.report.numbers import (
    count_of,
    write_count,
    write_figures,
    write_percent,
    write_points,
    write_probability,
    write_small,
)
from seatrial.report.speed import all_speeds, best_speeds, explain_withheld, find_ratio
from seatrial.results.run_folder import Run
from seatrial.results.speed import Speed
from seatrial.store.records import NO_LABELS, AccuracyRecord, Agreement, Comparison, GateResult, StepParity

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading and what its cells are."""

    name: str
    kind: Literal["text", "number", "engine", "outcome", "code", "image"] = "text"
    """An image is a data address, for pages only."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under headings, one cell for each column."""

    title: str
    note: str
    """What the columns mean."""
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    absent: str
    """The sentence in place of a table without rows."""
    fold: str = ""
    """Where a page should fold it: the words to unfold it by."""

    @property
    def grid(self) -> Grid:
        """Header and rows as cells, pictures left out."""
        kept = [place for place, column in enumerate(self.columns) if column.kind != "image"]
        columns = [self.columns[place] for place in kept]
        left = [place for place, column in enumerate(columns) if column.kind != "number"]
        return Grid([column.name for column in columns], [[row[place] for place in kept] for row in self.rows], left)


def numbers(*names: str) -> tuple[Column, ...]:
    """Columns of numbers."""
    return tuple(Column(name, "number") for name in names)


ENGINE = Column("Engine", "engine")


def make_summary(run: Run) -> Table:
    """The one table that matters: every engine's accuracy, speed and outcome."""
    best = best_speeds(run)
    rows = []
    for name in run.engines:
        record, speed = run.accuracy.get(name), best.get(name)
        ratio = find_ratio(run, best, name, run.reference)
        rows.append(
            (
                name,
                write_precision(run, name),
                _write_accuracy(record) if record else NOTHING,
                *_write_versus(record),
                write_figures(speed.images_per_s) if speed else NOTHING,
                speed.batch if speed else NOTHING,
                write_figures(ratio) if ratio is not None else NOTHING,
                outcome_of(run, name) or ("reference" if name == run.reference else "not judged"),
            )
        )
    columns = (
        ENGINE,
        Column("Precision"),
        *numbers(
            "Top-1, %", "Drop, points (interval)", "Changed, %", "Best images/s", "at batch size", f"× {run.reference}"
        ),
        Column("Outcome", "outcome"),
    )
    return Table("", "", columns, tuple(rows), "")


def make_gates(run: Run) -> Table:
    """Every gate with the figures that decided it; those of a gate that was not met stand in the verdict."""
    rows = tuple((g.outcome, g.engine or "all", g.gate, g.kind, _explain_gate(g)) for g in gates_of(run))
    absent = "No gate was judged." if run.verdict else "The run has not been judged, so no gate has an outcome."
    columns = (Column("Outcome", "outcome"), ENGINE, Column("Gate", "code"), Column("About"), Column("Why"))
    return Table("Gates", "The limits that the recipe sets, worst outcome first.", columns, rows, absent)


def _explain_gate(gate: GateResult) -> str:
    return gate.reason if gate.outcome == "PASS" else "at the top of this report"


def make_accuracy(run: Run) -> Table:
    """Every metric of each engine."""
    depth = max((len(record.hits) for record in run.accuracy.values()), default=1)
    rows = tuple(
        (
            name,
            write_count(r.images),
            _write_accuracy(r),
            _write_top1_interval(r),
            *(_write_accuracy(r, k) for k in range(2, depth + 1)),
            *(write_percent(r.metrics[metric].value) if metric in r.metrics else NOTHING for metric in BEYOND_TOP_K),
            write_figures(run.throughput[name].images_per_s) if name in run.throughput else NOTHING,
        )
        for name, r in run.accuracy.items()
    )
    names = [*(f"Top-{k}, %" for k in range(2, depth + 1)), *map(_head_metric, BEYOND_TOP_K)]
    columns = (ENGINE, *numbers("Images", "Top-1, %", "95 % interval", *names, "Files to predictions, images/s"))
    note = (
        "Top-5 is the share of images whose right class is among the first five, and so on. The interval is "
        "Wilson's: it covers the accuracy on all such images in about 95 of 100 tests like this one. Macro figures are "
        "means over the classes, each counting alike. The last column is the pace of the whole evaluation, with "
        "reading and decoding the files."
    )
    return Table("Right predictions", note, columns, rows, "No accuracy was evaluated in this run.")


def _head_metric(name: str) -> str:
    title = METRICS[name].title
    return f"{title[0].upper()}{title[1:]}, %"


def _write_top1_interval(record: AccuracyRecord) -> str:
    top1 = record.metrics.get(name_top_k(1))
    if top1 is None or top1.low is None or top1.high is None:
        return NOTHING
    return f"{write_percent(top1.low)} to {write_percent(top1.high)}"


def make_versus(run: Run) -> Table:
    """Each engine against the reference, image by image."""
    rows = tuple(
        (name, r.versus.reference, *_write_comparison(r.versus)) for name, r in run.accuracy.items() if r.versus
    )
    columns = (
        ENGINE,
        Column("Against"),
        *numbers("Images", "Both right", "Lost", "Gained", "Changed", "Drop, points", "Interval", "p"),
    )
    note = (
        "Lost: right in the reference, wrong here. Gained: the other way round. Changed: another first class, right "
        "or wrong. p is the probability of a difference this large if the engines were equally good (exact McNemar "
        "test)."
    )
    return Table("Against the reference", note, columns, rows, "No engine was compared with the reference.")


def make_agreement(run: Run) -> Table:
    """Each engine's first classes and confidences against the reference's, where no label says what is right."""
    rows = tuple(
        (name, r.agreement.reference, *_write_agreement(r.agreement))
        for name, r in run.accuracy.items()
        if r.agreement is not None and r.versus is None
    )
    among = {r.agreement.confidence_among for r in run.accuracy.values() if r.agreement is not None}
    columns = (
        ENGINE,
        Column("Against"),
        *numbers("Images", "Changed", "Agree, %", "Interval", "Flips by margin, %", "Confidence, points", "its size"),
    )
    note = (
        "Agree: the share of images with the same first class, with exact bounds (Clopper-Pearson, each one-sided with "
        "95 % confidence). Flips by margin: each image weighs as much as the reference's best score lies above its "
        "second, so flips among near ties count little. Confidence: how much that in the first class rose or fell on "
        f"average, and by how much it moved; a softmax over {' or '.join(sorted(among))}."
    )
    return Table("Agreement with the reference", note, columns, rows, "No engine was compared with the reference.")


def _write_agreement(agreement: Agreement) -> tuple[str, ...]:
    weighted, drift, change = agreement.weighted_flips, agreement.confidence_drift, agreement.confidence_change
    return (
        write_count(agreement.images),
        write_count(agreement.changed),
        write_percent(agreement.share),
        f"{write_percent(agreement.low)} to {write_percent(agreement.high)}",
        NOTHING if weighted is None else write_percent(weighted),
        NOTHING if drift is None else write_points(100 * drift),
        NOTHING if change is None else write_points(100 * change),
    )


def _write_comparison(versus: Comparison) -> tuple[str, ...]:
    counts = (versus.images, versus.both_right, versus.lost, versus.gained, versus.changed)
    return (
        *(write_count(n) for n in counts),
        write_points(versus.drop_pp),
        f"{write_points(versus.low_pp)} to {write_points(versus.high_pp)}",
        write_probability(versus.p_value),
    )


def make_speed(run: Run) -> Table:
    """Speed by engine and batch size."""
    best = best_speeds(run)
    rows = tuple(
        _write_speed(name, speed, speed == best[name]) for name, speeds in all_speeds(run).items() for speed in speeds
    )
    columns = (
        ENGINE,
        *numbers("Batch size", "Images/s", "95 % interval", "Median, ms", "90 %, ms", "99 %, ms"),
        *numbers("Variation, %", "Samples"),
        Column("Best"),
    )
    note = (
        "Times are for one whole batch, from images in memory to logits in memory: 90 % of the samples took at most "
        "the time under 90 %. The interval is Student's over the processes that measured, or over stretches of one. "
        "Variation is the standard deviation in percent of the mean. Each sample is one timed run."
    )
    return Table("Speed by batch size", note, columns, rows, "Speed was not measured in this run.")


def _write_speed(name: str, speed: Speed, is_best: bool) -> tuple[str, ...]:
    times = speed.latency
    return (
        name,
        speed.batch,
        write_figures(speed.images_per_s),
        write_interval(speed),
        *(write_figures(ms) for ms in (times.median_ms, times.p90_ms, times.p99_ms)),
        f"{100 * times.variation:.1f}",
        write_count(times.samples),
        "best" if is_best else "",
    )


def write_interval(speed: Speed) -> str:
    """The bounds of a rate."""
    return " to ".join(map(write_figures, speed.rate.bounds)) if speed.rate.bounds else NOTHING


def make_ratios(run: Run) -> Table:
    """How many times as fast each engine is as each other, both at their best; the slowest comes last."""
    best = best_speeds(run)
    doubts = explain_withheld(best)
    names = sorted(best, key=lambda name: -best[name].images_per_s) if len(best) > 1 else []
    rows = tuple((name, *(_write_ratio(find_ratio(run, best, name, base)) for base in names)) for name in names)
    note = (
        "The engine of the row divided by that of the column, each at its best batch size; fastest first, so the last "
        "column is against the slowest. A dash: the two were measured on different machines, or one of "
        f"the two figures is in doubt{f': {doubts}. {MEASURE_RUN_AGAIN}' if doubts else ''}."
    )
    columns = (ENGINE, *numbers(*(f"× {name}" for name in names)))
    return Table("How many times as fast", note, columns, rows, "A ratio needs the speed of two engines.")


def _write_ratio(ratio: float | None) -> str:
    return NOTHING if ratio is None else write_figures(ratio)


def make_parity(run: Run) -> Table:
    """How far each step of making the graphs moved their outputs."""
    steps: dict[StepParity, str] = dict.fromkeys(run.graph.parity, "every engine") if run.graph else {}
    for name, built in run.built.items():
        for step in built.graph.parity:
            steps.setdefault(step, name)
    rows = tuple(
        (
            step.step,
            whose,
            write_count(step.images),
            write_small(step.relative_error),
            write_small(step.largest_error),
            write_count(step.top1_disagreements),
        )
        for step, whose in steps.items()
    )
    columns = (
        Column("Step", "code"),
        Column("For"),
        *numbers("Images", "Relative error", "Largest error", "Other first classes"),
    )
    note = (
        "Real images run through the network before and after each step. The relative error is the size of the "
        "difference over the size of the outputs; float32 rounding alone gives about 1e-06."
    )
    return Table("From network to graph", note, columns, rows, "No graph was made in this run, or none was checked.")


def make_training(run: Run) -> Table:
    """Every epoch of training."""
    epochs = run.training.epochs if run.training else ()
    rows = tuple(
        (
            str(e.epoch),
            write_figures(e.loss),
            "" if e.train_top1 is None else write_percent(e.train_top1),
            "" if e.val_top1 is None else write_percent(e.val_top1),
            write_figures(e.learning_rate),
            write_figures(e.images_per_s),
            write_figures(e.seconds),
        )
        for e in epochs
    )
    columns = numbers(
        "Epoch", "Loss", "Top-1 in training, %", "Top-1 held out, %", "Learning rate", "Images/s", "Seconds"
    )
    note = "An epoch is one pass over the training images; held-out images are never trained on."
    return Table("Training", note, columns, rows, "The checkpoint was not trained in this run.")


def make_built(run: Run) -> Table:
    """What was requested of each engine, and what it reports to have built."""
    rows = tuple(
        (
            name,
            f"{m.engine} {m.sdk_version}",
            m.device,
            m.precision,
            _write_executed(m.executed),
            ", ".join("any" if f.batch_size is None else str(f.batch_size) for f in m.files) or NOTHING,
            ", ".join(f"{key}={value}" for key, value in m.options.items()) or "none",
        )
        for name, m in run.built.items()
    )
    columns = (
        ENGINE,
        *map(Column, ("Version", "Device", "Precision requested", "Layers that run", "Batch sizes", "Options")),
    )
    note = "Layers that run are read back from the compiled engine, not repeated from the request."
    return Table("What was built", note, columns, rows, "No engine was compiled in this run.")


def write_precision(run: Run, engine: str) -> str:
    """The requested precision, with how many layers run in it, where the engine reports that."""
    record = run.built.get(engine) or run.accuracy.get(engine) or run.measurements.get(engine)
    if record is None:
        return NOTHING
    requested, executed = record.precision, record.executed
    if not executed:
        return requested
    if requested not in executed:
        return f"{requested} requested, but {_write_executed(executed)}"
    return f"{requested} ({executed[requested]} of {count_of(sum(executed.values()), 'layer')})"


def _write_executed(executed: Mapping[str, int]) -> str:
    return ", ".join(f"{n} in {precision}" for precision, n in executed.items()) or "the engine does not report it"


def _write_accuracy(record: AccuracyRecord, k: int = 1) -> str:
    """Top-k accuracy, or that it was not measured."""
    accuracy = record.accuracy(k)
    return NO_LABELS if accuracy is None else write_percent(accuracy)


def _write_versus(record: AccuracyRecord | None) -> tuple[str, str]:
    """The drop with its interval, and the share that changed."""
    compared = None if record is None else record.compared
    if record is None or compared is None:
        return NOTHING, NOTHING
    v, drop = record.versus, NO_LABELS
    if v is not None:
        drop = f"{write_points(v.drop_pp)} ({write_points(v.low_pp)} to {write_points(v.high_pp)})"
    return drop, write_percent(compared.changed / compared.images)
