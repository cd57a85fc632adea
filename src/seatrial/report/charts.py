"""Charts as SVG, drawn offline; an engine has the same colour and shape in each."""

import errno
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import altair as alt
import vl_convert

from seatrial.errors import too_many_open
from seatrial.report.numbers import join_words, write_points
from seatrial.report.palette import COLOURS, PALETTE, follow_page
from seatrial.report.speed import all_speeds, find_common_batch
from seatrial.report.tradeoff import Rival, find_front, find_ties, list_rivals
from seatrial.results.run_folder import Run

_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
_INK, _MUTED, _PALE, _RULE, _GATE = (PALETTE[name][0] for name in ("ink", "muted", "pale", "rule", "fail"))
_FONT = "Helvetica, Arial, sans-serif"
_WIDTH = 480
"""Of a chart with its labels; one width for all, so that the page scales them alike."""
_FEW_TICKS = alt.Axis(tickCount=6)
"""Along the bottom, where labels of five figures stand side by side."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart."""

    title: str
    caption: str
    svg: str


def draw_charts(run: Run) -> list[Chart]:
    """The charts that the run has data for."""
    drawn = (draw_tradeoff(run), draw_drop(run), draw_speed(run), draw_latency(run), draw_training(run))
    return [figure for figure in drawn if figure]


def draw_drop(run: Run) -> Chart | None:
    """The drop of each engine with its interval, and the gate."""
    rows = [
        {"engine": name, "drop": v.drop_pp, "low": v.low_pp, "high": v.high_pp}
        for name, record in run.accuracy.items()
        if (v := record.versus)
    ]
    if not rows:
        return None
    gate = run.recipe.gates.reference_drop_pp
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=_rows_by(run, [str(row["engine"]) for row in rows]))
    layers = [
        _line_at(0, _MUTED, [1, 0]),
        base.mark_rule(strokeWidth=3).encode(
            x=alt.X("low:Q", title="drop in top-1, points (right is worse)", axis=_FEW_TICKS),
            x2="high:Q",
            color=_colour(run),
        ),
        base.mark_point(filled=True, size=90, opacity=1).encode(x="drop:Q", color=_colour(run), shape=_shape(run)),
    ]
    caption = f"The bars are intervals; left of 0 an engine is better than {run.reference}."
    if gate is not None:
        layers.append(_line_at(gate, _GATE, [5, 3]))
        caption += f" A bar wholly left of the dashed gate at {write_points(gate)} passes, wholly right of it fails."
    chart = alt.layer(*layers).properties(width=_WIDTH, height=alt.Step(34))
    return Chart(f"Accuracy lost against {run.reference}", caption, _to_svg(chart))


def draw_tradeoff(run: Run) -> Chart | None:
    """Top-1 over the best images per second, with intervals both ways; rings mark what no other certainly beats."""
    rivals = list_rivals(run)
    if len(rivals) < 2:
        return None
    front = find_front(rivals)
    rows = [_lay_out(rival, rival.name in front) for rival in rivals]
    legend = _legend([rival.name for rival in rivals])
    base = alt.Chart(alt.InlineData(values=rows))
    title = "images/s at the best batch size (right is faster)"
    x = alt.X("rate:Q", title=title, scale=alt.Scale(zero=True), axis=_FEW_TICKS)
    y = alt.Y("top1:Q", title="top-1, % (up is better)", scale=alt.Scale(zero=False, padding=12))
    colour, shape = _colour(run, legend), _shape(run, legend)
    chart = alt.layer(
        base.mark_rule(strokeWidth=2).encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=colour),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("slow:Q"), x2="fast:Q", y=y, color=colour),
        base.mark_point(size=320, strokeWidth=1.5, opacity=1, color=_INK)
        .transform_filter("datum.front")
        .encode(x=x, y=y),
        base.mark_point(filled=True, size=90, opacity=1).encode(x=x, y=y, color=colour, shape=shape),
    ).properties(width=_WIDTH, height=240)
    return Chart("Accuracy against speed", _describe_tradeoff(run, rivals, front), _to_svg(chart))


def _lay_out(rival: Rival, is_front: bool) -> dict[str, Any]:
    top1, rate = rival.accuracy, rival.speed
    has_interval = math.isfinite(rate.high)
    return {
        "engine": rival.name,
        "rate": rate.value,
        "slow": rate.low if has_interval else rate.value,
        "fast": rate.high if has_interval else rate.value,
        "top1": 100 * top1.value,
        "low": 100 * top1.low,
        "high": 100 * top1.high,
        "front": is_front,
    }


def _describe_tradeoff(run: Run, rivals: Sequence[Rival], front: Sequence[str]) -> str:
    ties = [f"{a} from {b}" for a, b in find_ties(rivals)]
    bars = f"Bars up and down are of the difference from {run.reference}."
    if len(ties) > 1 and len(ties) == math.comb(len(rivals), 2):
        return f"All are ringed: these figures tell none of the engines apart. {bars}"
    caption = (
        f"Ringed: {join_words(list(front))}, which no other engine beats for certain (in both directions, or in speed "
        f"with the same first classes). {bars}"
    )
    return f"{caption} These figures cannot tell {join_words(ties)}." if ties else caption


def draw_speed(run: Run) -> Chart | None:
    """Images per second by batch size."""
    rows = [
        {"engine": name, "batch": speed.batch, "size": speed.latency.batch_size, "rate": speed.images_per_s}
        for name, speeds in all_speeds(run).items()
        for speed in speeds
    ]
    if not rows:
        return None
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(filled=True, size=70))
        .encode(
            x=alt.X(
                "batch:N",
                sort=alt.EncodingSortField("size", op="min"),
                title="batch size (images per call)",
                axis=alt.Axis(labelAngle=0, grid=False),
            ),
            y=alt.Y("rate:Q", title="images/s (up is faster)"),
            color=_colour(run, _legend(list(all_speeds(run)))),
            shape=_shape(run, _legend(list(all_speeds(run)))),
        )
        .properties(width=_WIDTH, height=240)
    )
    return Chart("Speed by batch size", "Predicted images per second, without reading files.", _to_svg(chart))


def draw_latency(run: Run) -> Chart | None:
    """The spread of times at the smallest batch size that every engine ran."""
    size = find_common_batch(run)
    if size is None:
        return None
    rows = [
        {
            "engine": name,
            "min": speed.latency.min_ms,
            "median": speed.latency.median_ms,
            "p90": speed.latency.p90_ms,
            "p99": speed.latency.p99_ms,
        }
        for name, speeds in all_speeds(run).items()
        for speed in speeds
        if speed.latency.batch_size == size and speed.streams == 1
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=_rows_by(run, [str(row["engine"]) for row in rows]))
    x = alt.X("min:Q", title="milliseconds (left is faster)", scale=alt.Scale(zero=True), axis=_FEW_TICKS)
    chart = alt.layer(
        base.mark_rule(strokeWidth=2).encode(x=x, x2="p99:Q", color=_colour(run)),
        base.mark_bar(height=9, opacity=0.45).encode(x=x, x2="p90:Q", color=_colour(run)),
        base.mark_point(filled=True, size=90, opacity=1).encode(x="median:Q", color=_colour(run), shape=_shape(run)),
    ).properties(width=_WIDTH, height=alt.Step(34))
    caption = (
        "The mark is the median; the band ends at the slowest of 90 %, the line at the slowest of 99 % of the runs."
    )
    return Chart(f"Time for one batch of {size}", caption, _to_svg(chart))


def draw_training(run: Run) -> Chart | None:
    """Accuracy and loss by epoch."""
    epochs = run.training.epochs if run.training else ()
    if not epochs:
        return None
    shown = ["training", "held out"]
    accuracies = [
        {"epoch": e.epoch, "top1": 100 * top1, "images": images}
        for e in epochs
        for images, top1 in zip(shown, (e.train_top1, e.val_top1), strict=True)
        if top1 is not None
    ]
    colour = alt.Color("images:N", scale=alt.Scale(domain=shown, range=[_PALE, _INK]), legend=_legend(shown))
    top1 = _by_epoch(accuracies, None).encode(y=alt.Y("top1:Q", title="top-1, %").scale(zero=False), color=colour)
    losses = [{"epoch": e.epoch, "loss": e.loss} for e in epochs]
    loss = _by_epoch(losses, "epoch").encode(y=alt.Y("loss:Q", title="loss").scale(zero=False))
    caption = "Top-1 on the images trained on and on images held out, and the loss that training lowers."
    return Chart("Training", caption, _to_svg(alt.vconcat(top1, loss)))


def _by_epoch(rows: list[dict[str, Any]], title: str | None) -> Any:
    axis = alt.Axis(title=title, tickMinStep=1, format="d", grid=False)
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(color=_INK, strokeWidth=2.5, point=alt.OverlayMarkDef(color=_INK, filled=True, size=30))
        .encode(x=alt.X("epoch:Q", axis=axis, scale=alt.Scale(zero=False, nice=False)))
        .properties(width=_WIDTH, height=110)
    )


def _mark(channel: Callable[..., Any], values: Sequence[str], run: Run, legend: alt.Legend | None = None) -> Any:
    """A colour or a shape for each engine."""
    shown = [values[place % len(values)] for place in range(len(run.engines))]
    return channel("engine:N", scale=alt.Scale(domain=list(run.engines), range=shown), legend=legend)


_colour, _shape = partial(_mark, alt.Color, COLOURS), partial(_mark, alt.Shape, _SHAPES)


def _rows_by(run: Run, shown: list[str]) -> alt.Y:
    return alt.Y("engine:N", sort=[name for name in run.engines if name in shown], title=None)


def _legend(values: list[str]) -> alt.Legend:
    return alt.Legend(
        orient="top", title=None, values=values, columns=2 if len(values) == 4 else 3, symbolSize=90, labelLimit=180
    )


def _line_at(x: float, colour: str, dash: list[int]) -> Any:
    data = alt.InlineData(values=[{"x": x}])
    return alt.Chart(data).mark_rule(color=colour, strokeDash=dash, strokeWidth=1.5).encode(x="x:Q")


def _to_svg(chart: Any) -> str:
    text = {"labelFont": _FONT, "titleFont": _FONT, "labelColor": _MUTED, "titleColor": _INK}
    styled = (
        chart.configure(
            font=_FONT,
            background="transparent",
            padding=4,
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )
        .configure_view(strokeWidth=0)
        .configure_axis(
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            gridColor=_RULE,
            domainColor=_MUTED,
            tickColor=_MUTED,
            labelLimit=140,
            labelSeparation=10,
            **text,
        )
        .configure_legend(labelFontSize=12, labelFont=_FONT, labelColor=_INK)
    )
    # What `save` does, without holding each chart against the schema of its library, which takes as long as drawing it.
    version = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
    try:
        svg: str = vl_convert.vegalite_to_svg(styled.to_dict(validate=False), vl_version=version)
    except BaseException as error:  # A panic of Rust's is no Exception.
        if os.strerror(errno.EMFILE) not in str(error):
            raise
        raise too_many_open() from None
    return follow_page(svg)
