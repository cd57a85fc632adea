"""benchmarks/choose.py: when a trial agrees with the exhaustive search, and what all of them come to."""

from pathlib import Path
from types import ModuleType

import pytest

from run_folder import MACHINE
from seatrial.errors import ExitCode
from seatrial.metrics.latency import Latency
from seatrial.results.speed import Rate, Speed
from seatrial.store.choice import Choice, ChoiceTimes, SettingResult

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import choose

    return choose


def make_speed(batch_ms: float, low: float, high: float) -> Speed:
    latency = Latency.of([batch_ms] * 3, 1)
    return Speed(1, latency, Rate(latency.images_per_s, (low, high)), "host", 1)


def make_choice(chosen: str, *as_fast: str) -> Choice:
    facts = {"batch_size": 1, "streams": 1, "threads": None}
    settings = [SettingResult.model_validate({**facts, "candidate": chosen, "state": "chosen"})]
    settings += [SettingResult.model_validate({**facts, "candidate": name, "state": "as fast"}) for name in as_fast]
    return Choice(
        key="k", run="r", goal="throughput", max_drop_pp=1, exit_code=ExitCode.PASS, candidates=(), environment=MACHINE,
        settings=tuple(settings), chosen=settings[0], error_rate=0.05, times=ChoiceTimes(),
    )  # fmt: skip


def test_a_trial_agrees_with_the_best_one_listed_or_one_that_touches_it(choose: ModuleType) -> None:
    speeds = {
        ("a", 1, 1): make_speed(1, 950, 1050),
        ("b", 1, 1): make_speed(1.1, 870, 960),
        ("c", 1, 1): make_speed(4, 240, 260),
    }
    durations = {place: (speed.latency.mean_ms,) * 3 for place, speed in speeds.items()}
    found = choose.Exhaustive(speeds, durations, choose.Spent(100.0, 150.0), 3)
    best = found.find_best(None)
    assert best == ("a", 1, 1) and found.find_limit() == 2.1  # √(1.1 · 4), the widest gap
    assert choose.judge_trial(make_choice("a"), found, best) == "same"
    assert choose.judge_trial(make_choice("c", "a"), found, best) == "listed"
    assert choose.judge_trial(make_choice("b"), found, best) == "touches"
    assert choose.judge_trial(make_choice("c", "b"), found, best) == "missed"
    assert choose.judge_trial(make_choice("lossy"), found, best) == "missed"
    assert found.find_best(0.5) is None and choose.judge_trial(make_choice("a"), found, None) == "missed"


def test_the_best_by_latency_is_one_that_certainly_keeps_it(choose: ModuleType) -> None:
    """6 of 1,123 longer batches are 0.5 %, and may be 1.05 % of all; 299 without one are enough to exclude 1 %."""
    speeds = {("fast", 1, 1): make_speed(1, 950, 1050), ("sure", 1, 1): make_speed(2, 480, 520)}
    durations = {("fast", 1, 1): (9.0,) * 6 + (1.0,) * 1117, ("sure", 1, 1): (2.0,) * 299}
    found = choose.Exhaustive(speeds, durations, choose.Spent(1.0, 1.0), 2)
    assert found.find_best(None) == ("fast", 1, 1) and found.find_best(4) == ("sure", 1, 1)


def test_what_a_trial_takes_is_the_difference_of_two_readings(choose: ModuleType) -> None:
    began = choose.Spent(10.0, 3.0)
    assert choose.Spent(15.0, 10.0).since(began) == choose.Spent(5.0, 7.0)
    assert began + began == choose.Spent(20.0, 6.0)


def test_missing_often_or_taking_long_fails(choose: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert choose.conclude(choose.Total(20, 1, [0.2] * 20, [0.1] * 20)) == 0
    assert choose.conclude(choose.Total(20, 2, [0.2] * 20, [0.1] * 20)) == 1
    assert choose.conclude(choose.Total(20, 0, [0.3] * 20, [0.1] * 20)) == 1
    assert choose.conclude(choose.Total()) == 1
    assert (
        capsys.readouterr().out.splitlines()[1]
        == "18 of 20 agree, in 20% of the time and 10% of the processor time on average"
    )
