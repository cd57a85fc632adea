from decimal import Decimal

import pytest

from seatrial.metrics.arithmetic import evaluate, parse_arithmetic


@pytest.mark.parametrize(
    ("text", "value"),
    [("1 + 2 * 3", "7"), ("-(3 - 5)\n* 2", "4"), ("0.1 + 0.2", "0.3"), ("6 / 4 / 3", "0.5"), ("2 * rate - 1", "6")],
)
def test_numbers_are_of_the_kind_that_is_wanted(text: str, value: str) -> None:
    node = parse_arithmetic(text)
    assert evaluate(node, Decimal, {"rate": Decimal("3.5")}) == Decimal(value)
    assert evaluate(node, float, {"rate": 3.5}) == pytest.approx(float(value))


@pytest.mark.parametrize(
    "text", ["", "1 +", "rate", "2 ** 3", "7 // 2", "+1", "True", "'1'", "abs(1)", "1 < 2", "(1, 2)"]
)
def test_all_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="it "):
        evaluate(parse_arithmetic(text), float)


def test_nesting_beyond_the_parser_is_refused() -> None:
    with pytest.raises(ValueError, match="it is longer than 500 characters"):
        parse_arithmetic("(" * 9999 + "1" + ")" * 9999)
