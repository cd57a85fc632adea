from dataclasses import replace

import pytest

from seatrial.cli.output.speed import list_speeds, write_speeds
from seatrial.cli.output.tables import Layout
from seatrial.compare.speed_column import SpeedColumn, SpeedFigure
from seatrial.compare.speed_table import SpeedTable, make_table
from seatrial.errors import NotComparable, UsageError
from seatrial.results.speed import Rate


def make_column(name: str, rates: dict[int | None, float], chips: int | None = 1, **facts: str) -> SpeedColumn:
    figures = {size: SpeedFigure(Rate(rate), 1) for size, rate in rates.items()}
    return SpeedColumn(name, f"x on {name}", {"precision": "fp16", "model": "net"} | facts, chips, {"device": figures})


# The SE-ResNeXt101 guide's figures at three batch sizes: of the 310 one chip of four.
CHIP = make_column("310", {1: 182.224, 16: 225.180, 64: 223.843}, chips=4)
CARD = make_column("310P", {1: 529.115, 4: 903.506, 16: 729.260})
GPU = make_column("T4", {1: 346.484, 64: 789.784})


def compare(*columns: SpeedColumn, **spec: object) -> SpeedTable:
    return make_table(columns, **spec)  # type: ignore[arg-type]


def test_a_card_is_its_chips_together() -> None:
    table = compare(CHIP, CARD)
    (ratio,) = table.ratios
    assert (ratio.of, ratio.to) == ("310P", "310")
    assert ratio.best.value == 903.506 / (4 * 225.180)
    assert {size: round(rate.value, 3) for size, rate in ratio.by_size.items()} == {1: 0.726, 16: 0.810}
    assert ratio.exceptions == (1, 16)
    assert "images/s are a whole card's; chips on a card: 310 4, 310P 1" in table.notes
    chips = compare(CHIP, CARD, per="chip")
    assert round(chips.ratios[0].best.value, 3) == 4.012
    assert "images/s are one chip's; chips on a card: 310 4, 310P 1" in chips.notes


def test_a_ratio_with_an_end_in_doubt_is_withheld_everywhere() -> None:
    figures = {1: SpeedFigure(Rate(0.67, doubt="of noise"), 1), 4: SpeedFigure(Rate(30.0), 1)}
    column = SpeedColumn("slow", "x on slow", {"precision": "fp16", "model": "net"}, 1, {"device": figures})
    table = compare(column, CARD, gates=["at(310P, 1) > at(slow, 1)", "at(310P, 4) > at(slow, 4)"])
    assert [gate.result.outcome for gate in table.gates] == ["INCONCLUSIVE", "PASS"]
    assert [rate.doubt for rate in table.ratios[0].by_size.values()] == ["of noise", None]
    shown = write_speeds(table, Layout.TABLE)
    assert "withheld" in shown and str(round(529.115 / 0.67)) not in shown
    assert list_speeds(table)["ratios"][0]["by_batch_size"]["1"]["value"] is None
    worst = compare(replace(column, figures={"device": {1: figures[1]}}), CARD)
    assert "310P against slow is withheld: of noise; `seatrial run --measure-again`" in write_speeds(
        worst, Layout.TABLE
    )
    assert "789" not in write_speeds(worst, Layout.GUIDE)


def test_batches_go_down_and_what_was_not_told_comes_last() -> None:
    table = compare(CHIP, make_column("x", {None: 3.0, 2: 1.0}))
    assert table.sizes == (1, 2, 16, 64, None)
    assert table.columns[1].best[0] is None
    assert dict(table.ratios[0].by_size) == {}
    assert table.ratios[0].exceptions == ()
    assert table.ratios[0].at(None) is None


def test_every_column_is_divided_by_every_baseline() -> None:
    def pairs(*names: str) -> list[tuple[str, str]]:
        return [(r.of, r.to) for r in compare(CHIP, CARD, GPU, baselines=names).ratios]

    assert pairs() == [("310P", "310"), ("T4", "310")]
    assert pairs("T4") == [("310", "T4"), ("310P", "T4")]
    assert pairs("310", "T4") == [("310P", "310"), ("310P", "T4")]
    with pytest.raises(UsageError, match="--baseline 710 is none of the records; did you mean '310'"):
        pairs("710")


def test_a_gate_is_judged_and_its_exceptions_are_reported() -> None:
    table = compare(CHIP, CARD, gates=["best(310P) >= best(310)", "best(310P) >= 1.2 * best(310)"])
    assert [gate.result.outcome for gate in table.gates] == ["PASS", "FAIL"]
    assert table.gates[0].exceptions == (1, 16)
    assert table.verdict is not None and table.verdict.exit_code == 4
    with pytest.raises(UsageError, match="there is no engine 'nobody' here; known: 310"):
        compare(CHIP, gates=["best(nobody) > 1"])
    assert compare(CHIP, gates=["at(310, 1) > 1"]).gates[0].exceptions == ()
    assert compare(CHIP).verdict is None


def test_what_was_allowed_is_noted_under_the_table() -> None:
    other = replace(CARD, facts={"precision": "int8", "model": None})
    with pytest.raises(NotComparable, match="--allow precision"):
        compare(CHIP, other)
    table = compare(CHIP, other, allowed=["precision"])
    assert "not alike, but allowed: precision: fp16 (310), int8 (310P)" in table.notes
    assert "not stated, so not compared: the model of 310P" in table.notes
    assert table.notes[0] == "images/s, scope device: the device's own work, without the copies"


def test_streams_are_reported() -> None:
    busy = replace(GPU, figures={"device": {8: SpeedFigure(Rate(9.0), 3), 16: SpeedFigure(Rate(9.0), None)}})
    assert compare(busy).notes[-1] == "batches in flight at once: T4 3 at batch 8"


def test_scopes_that_differ_are_reported_instead_of_one_scope() -> None:
    host = replace(GPU, figures={"host": GPU.figures["device"]})
    notes = compare(CARD, host, allowed=["scope"]).notes
    assert notes == ("images/s, each in its own scope", "not alike, but allowed: scope: device (310P), host (T4)")


def test_baselines_leave_something_to_divide() -> None:
    with pytest.raises(UsageError, match="--baseline names every record"):
        compare(CARD, GPU, baselines=["310P", "T4"])
