"""benchmarks/drop_gate.py: that it judges as the package does, adds up all tables, and does not overlook an excess."""

from pathlib import Path
from types import ModuleType

import pytest

from seatrial.evaluation.exact_drop import drop_interval
from seatrial.evaluation.statistics import Paired

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
WORST = (1000, 0.002, 0.004)
"""Images, gate and flips of the setting in which Tango's interval was first seen to err."""


@pytest.fixture
def drop_gate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import drop_gate

    return drop_gate


@pytest.mark.parametrize(("count", "gate"), [(200, 0.02), (1000, 0.002), (5000, 0.01)])
def test_many_tables_at_once_are_judged_like_one(drop_gate: ModuleType, count: int, gate: float) -> None:
    lost, gained = drop_gate.draw_tables(drop_gate.Setting(count, gate, 1.5 * gate), gate, 40, 3)
    passed, failed = drop_gate.judge_tables(count, lost, gained, gate, 0.05)
    for losses, gains, passes, fails in zip(lost.tolist(), gained.tolist(), passed, failed, strict=True):
        low, high = drop_interval(Paired(count - losses - gains, losses, gains, 0))
        assert (high < gate, low > gate) == (passes, fails)


def test_the_grid_is_as_large_as_it_must_be(drop_gate: ModuleType) -> None:
    settings = list(drop_gate.list_settings(drop_gate.COUNTS))
    assert len(settings) >= 200
    assert all(setting.flips >= setting.gate for setting in settings)
    assert {setting.count for setting in settings} == set(drop_gate.COUNTS)


def test_what_is_added_up_is_what_is_drawn(drop_gate: ModuleType) -> None:
    setting = drop_gate.Setting(*WORST)
    for find in (drop_gate.find_tangos, drop_gate.find_most_lost):
        drawn = drop_gate.judge_by(find, setting, *drop_gate.draw_tables(setting, setting.gate, 40_000, 3))
        assert drop_gate.add_up_errors(find, setting) == pytest.approx(drawn, abs=0.4)


def test_the_worst_setting_of_tangos_interval_is_found_again(drop_gate: ModuleType) -> None:
    setting = drop_gate.Setting(*WORST)
    assert drop_gate.add_up_errors(drop_gate.find_tangos, setting)[1] == pytest.approx(7.26, abs=0.01)
    assert drop_gate.add_up_errors(drop_gate.find_most_lost, setting)[1] <= 5


def test_it_prints_a_line_for_each_setting(drop_gate: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert drop_gate.main(["--pairs", "2000", "--counts", "100", "--runs", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 + len(list(drop_gate.list_settings([100]))) + 9
    assert lines[3].split()[:3] == ["100", "0.1", "0.1"]


def test_too_many_errors_fail(drop_gate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drop_gate, "find_most_lost", drop_gate.find_tangos)
    assert drop_gate.main(["--pairs", "2000", "--counts", "100", "--runs", "0"]) == 1


def test_early_stopping_keeps_its_five_percent(drop_gate: ModuleType) -> None:
    assert max(drop_gate.run_early(1000, 0.002, 0.004, 1000, 1)) <= 5
