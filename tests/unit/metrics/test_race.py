"""The bounds of a race against closed forms, and how often a whole race drops the fastest."""

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from seatrial.metrics.race import ALPHA, count_needed, fit_layout, judge_share, share_error, spend_error


def test_what_all_rounds_have_in_common_is_no_noise() -> None:
    takes, machine = {"a": 0.0, "b": 0.3, "c": 1.0}, (5.0, 5.7, 4.9)
    layout = fit_layout([{key: base + value for key, value in takes.items()} for base in machine])
    assert layout.freedom == (3 - 1) * (3 - 1)
    assert layout.compare("b", "a", 0.01) == pytest.approx((math.exp(0.3),) * 2)
    assert layout.find_fastest(("c", "b")) == "b"


def test_of_two_settings_the_bound_is_that_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(0, 0.1, 4), rng.normal(0.5, 0.1, 4)
    layout = fit_layout([{"a": x, "b": y} for x, y in zip(first.tolist(), second.tolist(), strict=True)])
    differences = second - first
    half = float(stdtrit(3, 0.99)) * differences.std(ddof=1) / 2
    low, high = layout.compare("b", "a", 0.01)
    assert (math.log(low), math.log(high)) == pytest.approx((differences.mean() - half, differences.mean() + half))


def test_a_setting_of_one_round_is_compared_within_that_round() -> None:
    rounds = [{"a": 0.0, "b": 0.1, "late": 1.0}, {"a": 5.0, "b": 5.1}, {"a": 3.0, "b": 3.1}]
    layout = fit_layout(rounds)
    assert layout.compare("late", "a", 0.01) == pytest.approx((math.e,) * 2)
    assert dict(zip(layout.keys, layout.rounds.tolist(), strict=True)) == {"a": 3, "b": 3, "late": 1}


def test_nothing_is_certain_after_one_round() -> None:
    layout = fit_layout([{"a": 0.0, "b": 9.0}])
    assert layout.freedom == 0
    assert layout.compare("b", "a", 0.4) == (0.0, math.inf)
    assert layout.compare("a", "a", 0.4) == (1.0, 1.0)


def test_a_setting_with_more_noise_than_others_counts_with_its_own() -> None:
    rng = np.random.default_rng(0)
    noise = {**{f"quiet{i}": 0.001 for i in range(8)}, "noisy": 0.3}
    rounds = [{key: float(rng.normal(0, spread)) for key, spread in noise.items()} for _ in range(4)]
    layout = fit_layout(rounds)
    low, high = layout.compare("quiet1", "quiet0", 0.01)
    noisy_low, noisy_high = layout.compare("noisy", "quiet0", 0.01)
    assert math.log(noisy_high / noisy_low) > 2 * math.log(high / low)


def test_no_times_cannot_be_taken_apart() -> None:
    with pytest.raises(ValueError, match="no times"):
        fit_layout([])


@pytest.mark.parametrize("unequal", [False, True])
def test_the_fastest_is_dropped_in_no_more_than_five_of_a_hundred_races(unequal: bool) -> None:
    rng = np.random.default_rng(7)
    settings, rounds, races = 12, 5, 200
    level = share_error(settings, rounds)
    takes = np.concatenate([[0.0, 0.0, 0.01, 0.02], np.linspace(0.1, 1.5, settings - 4)])
    wrong = left = 0
    for _ in range(races):
        spread = rng.uniform(0.02, 0.12, settings) if unequal else np.full(settings, 0.05)
        racing = list(range(settings))
        times: list[dict[int, float]] = []
        for number in range(rounds):
            # The second round is of a few only, as in a real race.
            measured = racing if number != 1 else sorted(racing, key=lambda i: times[0][i])[:5]
            machine = float(rng.normal(0, 0.3))
            times.append({i: machine + float(takes[i] + rng.normal(0, spread[i])) for i in measured})
            layout = fit_layout(times)
            leader = layout.find_fastest(racing)
            racing = [i for i in racing if layout.compare(i, leader, level)[0] <= 1]
        wrong += 0 not in racing
        left += len(racing)
    assert wrong / races <= ALPHA
    assert left / races < settings / 2  # It does drop what is slower.


@pytest.mark.parametrize(
    ("long", "short", "certain"),
    [(0, 300, True), (0, 298, None), (1, 300, None), (30, 30, False), (2, 300, None)],
)
def test_a_percentile_is_certain_by_the_share_of_what_is_longer(long: int, short: int, certain: bool | None) -> None:
    assert judge_share(long, long + short, 99, 0.05) is certain


def test_the_fewest_durations_that_make_a_percentile_certain() -> None:
    assert count_needed(99, 0.05) == 299  # ln 0.05 / ln 0.99 = 298.1
    needed = count_needed(99, 1e-4)
    assert judge_share(0, needed, 99, 1e-4) is True and judge_share(0, needed - 1, 99, 1e-4) is None
    assert judge_share(0, 0, 99, 0.05) is None


def test_however_many_tests_there_are_all_err_in_no_more_than_alpha() -> None:
    assert spend_error(1) == ALPHA / 2
    assert sum(map(spend_error, range(1, 10_000))) == pytest.approx(ALPHA, rel=1e-3)
