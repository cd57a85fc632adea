import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import binom, multinomial, norm

from seatrial.evaluation.exact_drop import drop_interval, images_to_settle, is_surely_below
from seatrial.evaluation.statistics import Paired, score_statistic

ALPHA = 0.05


def make_table(count: int, lost: int, gained: int) -> Paired:
    return Paired(count - lost - gained, lost, gained, 0)


def list_tables(count: int) -> list[tuple[int, int]]:
    """Losses and gains of every table of `count` images."""
    return [(lost, gained) for lost in range(count + 1) for gained in range(count + 1 - lost)]


def find_bounds(count: int, level: float = ALPHA) -> dict[tuple[int, int], tuple[float, float]]:
    return {table: drop_interval(make_table(count, *table), 1 - level) for table in list_tables(count)}


def find_errors(count: int, drop: float, wrong: list[tuple[int, int]], steps: int = 150) -> float:
    """The largest chance of these tables under a true drop, over many chances of a gain."""
    if not wrong:
        return 0.0
    tables = np.array([(lost, gained, count - lost - gained) for lost, gained in wrong])
    gains = np.linspace(max(0.0, -drop), (1 - drop) / 2, steps)
    return max(float(multinomial(count, [g + drop, g, max(0.0, 1 - drop - 2 * g)]).pmf(tables).sum()) for g in gains)


@pytest.mark.parametrize("level", [0.05, 0.025, 0.002])
@pytest.mark.parametrize("count", [3, 14])
def test_a_bound_is_past_the_truth_in_no_more_sets_than_it_says(count: int, level: float) -> None:
    bounds = find_bounds(count, level)
    for drop in (-0.4, -0.05, 0.0, 0.004, 0.01, 0.02, 0.05, 0.1, 0.25, 0.6):
        too_low = [table for table, (_, high) in bounds.items() if high < drop]
        too_high = [table for table, (low, _) in bounds.items() if low > drop]
        assert find_errors(count, drop, too_low) <= level
        assert find_errors(count, drop, too_high) <= level


def find_false_pass(count: int, gate: float, gain: float) -> float:
    """How often sets pass whose true drop is the gate: over all numbers of gains that are not rarer than 1e-7."""
    chance, most = 0.0, -1
    for gained in range(int(binom.ppf(1e-7, count, gain)), int(binom.isf(1e-7, count, gain)) + 1):
        # With more gains, no fewer losses pass.
        while is_surely_below(count, most + 1, gained, gate):
            most += 1
        chance += binom.pmf(gained, count, gain) * binom.cdf(most, count - gained, (gain + gate) / (1 - gain))
    return float(chance)


def find_false_fail(count: int, gate: float, gain: float) -> float:
    """The same with losses and gains exchanged, and the drop's sign turned."""
    return find_false_pass(count, -gate, gain + gate)


def find_tangos_false_fail(count: int, gate: float, gain: float) -> float:
    """How often the lower bound of Tango's interval lies above a gate that is the true drop."""
    lost, gained = np.mgrid[:60, :60]
    above = score_statistic(count, lost, gained, gate) > norm.ppf(1 - ALPHA)
    chance = multinomial(count, [gain + gate, gain, 1 - gate - 2 * gain])
    return float(chance.pmf(np.stack([lost, gained, count - lost - gained], axis=-1))[above].sum())


def test_the_worst_setting_of_tangos_interval_is_kept_within_five_percent() -> None:
    # 1,000 images, a gate of 0.2 points, 0.4 % of the answers disagree.
    assert find_tangos_false_fail(1000, 0.002, 0.001) == pytest.approx(0.0726, abs=1e-4)
    assert find_false_fail(1000, 0.002, 0.001) <= ALPHA
    assert 0.03 < find_false_pass(1000, 0.002, 0.001) <= ALPHA


@pytest.mark.parametrize("gain", [0.0, 0.001, 0.01])
@pytest.mark.parametrize(("count", "gate"), [(100, 0.02), (300, 0.01), (540, 0.01), (3000, 0.002)])
def test_a_drop_on_the_gate_is_judged_in_at_most_five_percent(count: int, gate: float, gain: float) -> None:
    assert find_false_pass(count, gate, gain) <= ALPHA
    assert find_false_fail(count, gate, gain) <= ALPHA


def test_nearly_all_of_the_five_percent_are_used_where_many_flip() -> None:
    assert find_false_pass(1000, 0.01, 0.05) > 0.047
    assert find_false_fail(1000, 0.01, 0.05) > 0.047


def test_a_bound_is_where_the_tables_tail_is_the_level() -> None:
    # By hand: every table with as low a Tango bound, or a lower one, summed over a fine grid of chances of a gain.
    count, table = 25, (3, 1)

    def find_tango(lost: int, gained: int) -> float:
        if lost == count:
            return 1.0
        z = float(ndtri(ALPHA))
        above = (lost - gained) / count + 1e-12
        return float(brentq(lambda drop: float(score_statistic(count, lost, gained, drop)) - z, above, 1 - 1e-12))

    seen = find_tango(*table)
    as_low = [other for other in list_tables(count) if find_tango(*other) <= seen + 1e-9]
    high = drop_interval(make_table(count, *table))[1]
    assert find_errors(count, high, as_low, 4000) == pytest.approx(ALPHA * (1 - 1 / 500), rel=2e-3)


@pytest.mark.parametrize("count", [1, 340, 50_000])
def test_without_a_flip_the_bounds_are_known(count: int) -> None:
    # The drop at which no loss at all has the chance of the level, less what is paid for the chance of a gain.
    low, high = drop_interval(make_table(count, 0, 0))
    assert high == pytest.approx(1 - (ALPHA * (1 - 1 / 500)) ** (1 / count), rel=1e-4)
    assert low == -high


def test_all_lost_and_all_gained_are_the_ends() -> None:
    assert drop_interval(make_table(10, 10, 0))[1] == 1.0
    assert drop_interval(make_table(10, 0, 10))[0] == -1.0


@pytest.mark.parametrize("counts", [(400, 30, 11, 99), (999, 1, 0, 0), (20, 0, 9, 3), (49_000, 700, 300, 0)])
def test_swapping_the_two_turns_the_interval_round(counts: tuple[int, int, int, int]) -> None:
    both, lost, gained, neither = counts
    low, high = drop_interval(Paired(both, lost, gained, neither))
    assert drop_interval(Paired(both, gained, lost, neither)) == (-high, -low)
    assert low <= (lost - gained) / sum(counts) <= high


def test_many_images_make_it_walds() -> None:
    paired = Paired(750_000, 20_000, 10_000, 220_000)
    spread = norm.ppf(0.95) * math.sqrt(30_000 - 10_000**2 / 1_000_000) / 1_000_000
    assert drop_interval(paired) == pytest.approx((0.01 - spread, 0.01 + spread), abs=2e-6)


def test_more_losses_move_both_bounds_up() -> None:
    for gained in (0, 3, 20):
        bounds = np.array([drop_interval(make_table(800, lost, gained)) for lost in range(0, 40, 3)])
        assert (np.diff(bounds, axis=0) > 0).all()


def test_more_confidence_is_a_wider_interval() -> None:
    for table in [(0, 0), (1, 0), (12, 3), (90, 120)]:
        bounds = [drop_interval(make_table(1000, *table), level) for level in (0.9, 0.95, 0.975, 0.998)]
        lows, highs = np.array(bounds).T
        assert (np.diff(lows) < 0).all() and (np.diff(highs) > 0).all()


def test_the_short_way_to_judge_is_the_bounds() -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        count = int(10 ** rng.uniform(1.5, 4))
        lost, gained = rng.multinomial(count, [0.01, 0.006, 0.984])[:2].tolist()
        high = drop_interval(make_table(count, lost, gained))[1]
        little = 1e-4 * (high - (lost - gained) / count)
        assert is_surely_below(count, lost, gained, high + little)
        assert not is_surely_below(count, lost, gained, high - little)


@pytest.mark.parametrize("drop", [-0.5, -0.01, -0.002, 0.0, 0.0004])
def test_a_drop_is_not_surely_below_what_is_lower_than_it(drop: float) -> None:
    # Also where no chance of a gain that the gains seen allow would give so low a drop.
    assert not is_surely_below(5000, 10, 8, drop)


def test_the_order_of_the_tables_follows_losses_and_gains() -> None:
    # Then the chance of those as low as one that was seen falls as the true drop rises.
    lost, gained = np.mgrid[:21, :21]
    for drop in (-0.1, -0.01, 0.01, 0.1):
        statistic = score_statistic(60, lost, gained, drop)
        assert (np.diff(statistic, axis=0) > 0).all() and (np.diff(statistic, axis=1) < 0).all()


@pytest.mark.parametrize("counts", [(500, 5, 2, 33), (500, 9, 2, 29), (4000, 70, 30, 900), (3950, 60, 10, 0)])
def test_so_many_more_images_settle_it_and_some_percent_fewer_do_not(counts: tuple[int, int, int, int]) -> None:
    paired, gate = Paired(*counts), 0.01
    low, high = drop_interval(paired)
    more = images_to_settle(paired, gate)
    assert low < gate < high and more is not None and more > 0

    def is_settled(scale: float) -> bool:
        count, lost, gained = (round(scale * n) for n in (paired.count, paired.lost, paired.gained))
        bounds = drop_interval(make_table(count, lost, gained))
        return bounds[1] < gate if paired.drop < gate else bounds[0] > gate

    scale = 1 + more / paired.count
    assert is_settled(1.1 * scale) and not is_settled(0.9 * scale)


def test_without_a_flip_it_is_known_how_many_settle_it() -> None:
    # The upper bound lies below the gate once 0.99^n is at most 0.0499: from n = 298.3 on.
    assert images_to_settle(Paired(200, 0, 0, 10), 0.01) == 299 - 210


def test_more_confidence_needs_more_images() -> None:
    paired = Paired(500, 9, 2, 29)
    usual, sharper = images_to_settle(paired, 0.01), images_to_settle(paired, 0.01, 0.975)
    assert usual is not None and sharper is not None and sharper > 1.2 * usual


def test_a_drop_next_to_the_gate_needs_as_many_as_the_normal_curve_says() -> None:
    paired = Paired(97_000, 1_500, 505, 995)
    statistic = float(score_statistic(paired.count, paired.lost, paired.gained, 0.01))
    assert images_to_settle(paired, 0.01) == math.ceil(100_000 * (norm.ppf(0.95) / statistic) ** 2) - 100_000


def test_a_settled_drop_needs_no_more_and_one_on_the_gate_can_have_none() -> None:
    assert images_to_settle(Paired(990, 2, 2, 6), 0.01) == 0
    assert images_to_settle(Paired(900, 60, 2, 38), 0.01) == 0
    assert images_to_settle(Paired(970, 12, 2, 16), 0.01) is None
