import math
from dataclasses import replace

import pytest

from seatrial.compare.regression import compare_speed, find_changes, judge_slower, write_change
from seatrial.compare.speed_column import SpeedColumn, SpeedFigure, sort_figures
from seatrial.results.speed import Rate


def make_column(name: str, error: float | None, rates: dict[int, float], **facts: str) -> SpeedColumn:
    """Rates that are known to within a share `error` to each side, on the logarithm."""
    figures = {
        size: SpeedFigure(Rate(r) if error is None else Rate(r, (r * math.exp(-error), r * math.exp(error))), 1)
        for size, r in rates.items()
    }
    return SpeedColumn(name, "x on y", {"machine": "Xeon", "precision": "fp32"} | facts, 1, {"host": figures})


BEFORE = make_column("then", 0.0, {1: 100.0, 8: 400.0})


@pytest.mark.parametrize(
    ("error", "rates", "outcome"),
    [
        (0.01, {1: 100.0, 8: 400.0}, "PASS"),
        (0.01, {1: 97.0, 8: 500.0}, "PASS"),
        (0.01, {1: 95.0, 8: 400.0}, "INCONCLUSIVE"),
        (0.01, {1: 93.0, 8: 500.0}, "FAIL"),
        (0.10, {1: 93.0, 8: 500.0}, "INCONCLUSIVE"),
        (0.00, {1: 95.0, 8: 380.0}, "PASS"),
        (None, {1: 200.0}, "INCONCLUSIVE"),
        (0.01, {4: 200.0}, "INCONCLUSIVE"),
    ],
)
def test_a_loss_counts_when_it_is_sure(error: float | None, rates: dict[int, float], outcome: str) -> None:
    gate = judge_slower("ort", compare_speed(BEFORE, make_column("now", error, rates)), 5.0)
    assert (gate.engine, gate.kind, gate.outcome) == ("ort", "speed", outcome)


def test_the_reason_names_every_batch() -> None:
    gate = judge_slower("ort", compare_speed(BEFORE, make_column("now", 0.01, {1: 93.0, 8: 440.0})), 5.0)
    assert gate.reason == (
        "images/s against then: −7.0 % (−7.9 to −6.1) at batch 1, +10.0 % (+8.9 to +11.1) at batch 8; "
        "the gate is 5 % slower"
    )


@pytest.mark.parametrize("kind", ["machine", "clock", "precision", "model", "preprocess"])
def test_a_changed_clock_or_machine_is_no_regression(kind: str) -> None:
    before = replace(BEFORE, facts={**BEFORE.facts, kind: "one"})
    after = make_column("now", 0.0, {1: 50.0, 8: 200.0}, **{kind: "another"})
    gate = judge_slower("ort", compare_speed(before, after), 5.0)
    assert (gate.outcome, gate.reason) == ("INCONCLUSIVE", f"not comparable: {kind}: one (then), another (now)")
    allowed = compare_speed(before, after, [kind])  # type: ignore[list-item]
    assert judge_slower("ort", allowed, 5.0).outcome == "FAIL"
    assert list(allowed.unlike) == [kind]


def spread_streams(column: SpeedColumn, **rates: float) -> SpeedColumn:
    """The column with batch 8 measured on these numbers of streams."""
    figures = [SpeedFigure(Rate(rate, (rate, rate)), int(streams[1:])) for streams, rate in rates.items()]
    return replace(column, figures=sort_figures(("host", 8, figure) for figure in figures))


def test_more_streams_hide_no_loss_and_fewer_make_none() -> None:
    then, now = spread_streams(BEFORE, s1=400.0), spread_streams(BEFORE, s1=300.0, s4=800.0)
    slower = compare_speed(then, now)
    assert judge_slower("ort", slower, 5.0).outcome == "FAIL" and slower.best == Rate(0.75, (0.75, 0.75))
    assert slower.notes == ("batch 8: compared on 1 stream, as both were measured on no other",)
    assert judge_slower("ort", compare_speed(now, now), 5.0).outcome == "PASS"
    open_ = judge_slower("ort", compare_speed(spread_streams(BEFORE, s4=800.0), then), 5.0)
    assert open_.outcome == "INCONCLUSIVE"
    assert "in doubt: it was measured on 4 streams, and on 1 stream now" in open_.reason


def test_another_export_of_the_network_may_be_compared() -> None:
    before, after = (make_column(name, 0.0, {1: 100.0}, graph=name * 16) for name in ("then", "now!"))
    assert judge_slower("ort", compare_speed(before, after), 0.0).outcome == "PASS"


def test_changes_are_said_with_their_sign() -> None:
    assert write_change(Rate(1.0001, (0.99999, 1.2))) == "0.0 % (0.0 to +20.0)"
    assert write_change(Rate(0.5)) == "−50.0 % (no samples, so no interval)"


def test_only_what_changed_is_listed() -> None:
    before, after = {"a": "1", "b": "2", "gone": "3", "none": None}, {"new": "4", "a": "1", "b": "5", "none": None}
    assert find_changes(before, after) == {"new": ("–", "4"), "b": ("2", "5"), "gone": ("3", "–")}
