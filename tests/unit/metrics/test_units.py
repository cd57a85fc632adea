import pytest

from seatrial.metrics.units import NUMBER, Unit

MS, BYTES = Unit.named("ms"), Unit.named("bytes")


def test_like_units_add_and_numbers_add_to_anything() -> None:
    assert MS + MS == MS - NUMBER == NUMBER + MS == -MS == MS
    assert NUMBER + NUMBER == NUMBER


def test_unlike_units_do_not_add() -> None:
    with pytest.raises(ValueError, match="it sets ms against bytes"):
        MS + BYTES


@pytest.mark.parametrize(
    ("unit", "written"),
    [(MS / MS, ""), (MS * BYTES, "bytes·ms"), (BYTES / MS, "bytes/ms"), (MS * MS, "ms^2"), (NUMBER / MS, "/ms")],
)
def test_products_and_ratios(unit: Unit, written: str) -> None:
    assert str(unit) == written
