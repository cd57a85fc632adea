"""Where and why a gate cannot be read."""

import pytest

from seatrial.metrics.expression_faults import find_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "it is empty"),
        (" ", "it is empty"),
        ("top1 => 0.76", "column 6: '=>' is no comparison; did you mean '>='?"),
        ("top1 ≥ 0.76", "column 6: '≥' is no comparison; did you mean '>='?"),
        ("top1 = 0.7", "column 6: '=' is none of < <= > >=, as no figure is exactly a number; did you mean '>='?"),
        ("top1 == 1", "column 6: '==' is none of < <= > >=, as no figure is exactly a number; did you mean '>='?"),
        ("p99_ms<=5ms", "column 10: a number has no unit, as the quantity's name says it: write 5"),
        (
            "memory_bytes <2GB",
            "column 16: a number has no unit, as the quantity's name says it: 2 GB is 2000000000 in bytes",
        ),
        (
            "size_bytes < 1 MiB",
            "column 16: a number has no unit, as the quantity's name says it: 1 MiB is 1048576 in bytes",
        ),
        ("memory_bytes < 2_000_000", "column 17: a number is written without _: 2000000"),
        (
            "top1 > 0.7 and top5 > 0.9",
            "column 12: 'and' joins two gates; give each on its own, as one more --gate or in the list of require",
        ),
        ("top1 >= 76%", "column 11: 76 % is 0.76 as a share; points (drop_pp) are written without a sign"),
        (
            "top1(openvino > 0.7",
            "column 5: this ( after top1 is not closed, or holds more than ENGINE or ENGINE, BATCH",
        ),
        ("2 * (top1 > 0.7", "column 5: this ( is not closed"),
        ("top1 > 0.7)", "column 11: this ) closes nothing"),
        ("top1 >=", "column 6: a number or a quantity is missing after '>='"),
        (">= 3", "column 1: '>=' stands where a number or a quantity is expected first"),
        ("2 ** 3 < top1", "column 4: '*' stands where a number or a quantity is expected after '*'"),
        ("(top1) 2 > 1", "column 8: '2' follows ')' with no sign between them"),
        ("top1 >= 1,000", "column 10: ',' belongs to no number, quantity, + - * / or comparison"),
    ],
)
def test_a_fault_has_its_place_and_its_cause(text: str, fault: str) -> None:
    assert find_fault(text) == fault


@pytest.mark.parametrize(
    "text",
    ["top1 >= 0.76", "-0.5 < drop_pp", "(1.2 * best(a, 8) + 3e-1) / .5 <= best( * )", "p99_ms(openvino:bf16@cpu, 1)<5"],
)
def test_what_can_be_read_has_none(text: str) -> None:
    assert find_fault(text) is None
