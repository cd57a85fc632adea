"""How figures are written."""

import pytest

from seatrial.report.numbers import (
    count_of,
    join_words,
    write_figures,
    write_percent,
    write_points,
    write_probability,
    write_size,
    write_small,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (6.9123, "6.91"),
        (1.0, "1.00"),
        (9.996, "10.0"),
        (0.0821, "0.0821"),
        (34.84, "34.8"),
        (152.4, "152"),
        (999.7, "1,000"),
        (4250.0, "4,250"),
        (0, "0"),
        (-2.5, "−2.50"),
    ],
)
def test_three_significant_figures_without_powers_of_ten(number: float, text: str) -> None:
    assert write_figures(number) == text


def test_percent_and_points_have_two_decimals_and_a_real_minus() -> None:
    assert write_percent(0.7613) == "76.13"
    assert write_points(0.054) == "0.05"
    assert write_points(-0.054) == "−0.05"
    assert write_points(-0.004) == "0.00"


def test_small_sizes_and_probabilities() -> None:
    assert (write_small(0.0), write_small(8.13e-7)) == ("0", "8.1e-07")
    assert (write_probability(0.0004), write_probability(0.0314)) == ("<0.001", "0.031")
    assert write_size(16 * 2**30) == "16.0 GiB"


def test_lists_and_counts_read_as_english() -> None:
    assert join_words(["a"]) == "a"
    assert join_words(["a", "b", "c"]) == "a, b and c"
    assert (count_of(1, "image"), count_of(10000, "image")) == ("1 image", "10,000 images")
