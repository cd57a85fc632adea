from decimal import Decimal

import pytest

from seatrial.cli.output.tables import Layout, write_blocks
from seatrial.report.formats import Grid
from seatrial.report.numbers import round_half_up, write_exact, write_ratio


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(2.71265, 4, "2.7127"), (0.5, 0, "1"), (Decimal("2.5"), 0, "3"), (1.005, 2, "1.01"), (3.238565, 3, "3.239")],
)
def test_a_half_goes_up(value: float | Decimal, digits: int, text: str) -> None:
    assert round_half_up(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"), [(5246.8, "5246.8"), (3200.0, "3200"), (2299.0784, "2299.0784"), (0.98726551, "0.9873")]
)
def test_zeros_at_the_end_go(value: float, text: str) -> None:
    assert write_exact(value, 4) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1.000"), (0.9995178, "0.9995"), (1.0004, "1.0004"), (0.99999999999, "1.000000000"), (4.0124, "4.012")],
)
def test_a_ratio_is_not_rounded_to_one(value: float, text: str) -> None:
    assert write_ratio(value) == text


def test_chinese_letters_are_two_places_wide() -> None:
    lines = write_blocks(Layout.GUIDE, Grid(["", "310"], [["bs1", "5"], ["最优batch", "5246.8"]])).splitlines()
    assert lines == [
        "|           | 310    |",
        "| --------- | ------ |",
        "| bs1       | 5      |",
        "| 最优batch | 5246.8 |",
    ]


def test_markdown_shows_names_as_they_are() -> None:
    assert write_blocks(Layout.MARKDOWN, Grid(["batch", "a|b"], [["1", "*x*"]])).splitlines() == [
        "| batch | a\\|b |",
        "| --- | ---: |",
        "| 1 | \\*x\\* |",
    ]


def test_blocks_are_apart_and_empty_ones_left_out() -> None:
    blocks = (
        "a title",
        Grid(["batch", "rate"], [["1", "20.5"], ["16", "9"]]),
        Grid(["no", "rows"], []),
        [],
        ["a", "b_"],
    )
    assert write_blocks(Layout.TABLE, *blocks) == "a title\n\nbatch  rate\n1      20.5\n16        9\n\na\nb_"
    assert write_blocks(Layout.MARKDOWN, *blocks).endswith("| 16 | 9 |\n\n- a\n- b\\_")
