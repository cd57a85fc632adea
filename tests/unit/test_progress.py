import pytest

from seatrial.progress import write_duration


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0 s"),
        (8.4, "8 s"),
        (59.6, "1 min"),
        (89, "1 min 29 s"),
        (120, "2 min"),
        (599, "9 min 59 s"),
        (601, "10 min"),
        (3599, "1 h"),
        (12_000, "3 h 20 min"),
        (90_000, "25 h"),
        (172_800, "2 days"),
        (200_000, "2 days 7 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, written: str) -> None:
    assert write_duration(seconds) == written
