from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from seatrial.evaluation.exact_drop import drop_interval
from seatrial.evaluation.sequential import Look, judge_look, plan_looks, visit_order
from seatrial.evaluation.statistics import Paired

GATE = 0.01
Judge = Callable[[int, int, Look], str]


@cache
def judge_counts(lost: int, gained: int, look: Look) -> str:
    return judge_look(Paired(look.images - lost - gained, lost, gained, 0), GATE, look)


def judge_unspent(lost: int, gained: int, look: Look) -> str:
    """What would happen if every look spent all 5 %."""
    return judge_counts(lost, gained, replace(look, level=0.05))


def run_sets(total: int, lost: float, gained: float, runs: int, judge: Judge = judge_counts) -> list[tuple[str, int]]:
    """Outcomes of simulated sets with these chances of a flip, and after how many images they came."""
    looks = plan_looks(total)
    steps = np.diff([look.images for look in looks], prepend=0)
    flips = np.random.default_rng(23).multinomial(steps, [lost, gained, 1 - lost - gained], (runs, len(looks)))
    outcomes = []
    for tables in flips.cumsum(axis=1)[..., :2].tolist():
        found = ((judge(*table, look), look.images) for table, look in zip(tables, looks, strict=True))
        outcomes.append(next((end for end in found if end[0] != "CONTINUE"), ("CONTINUE", total)))
    return outcomes


def share(outcomes: list[tuple[str, int]], outcome: str, by: int = 10**9) -> float:
    return sum(end == outcome and images <= by for end, images in outcomes) / len(outcomes)


def test_looks_are_at_round_numbers_and_the_end() -> None:
    assert [look.images for look in plan_looks(5000)] == [100, 200, 300, 500, 1000, 2000, 3000, 5000]
    assert [look.images for look in plan_looks(50_000)][-4:] == [10_000, 20_000, 30_000, 50_000]
    assert [look.images for look in plan_looks(540)] == [100, 200, 300, 500, 540]
    assert [look.images for look in plan_looks(101)] == [100, 101]


@pytest.mark.parametrize("total", [1, 100, 101, 540, 5000, 50_000, 1_281_167])
def test_the_looks_share_five_percent(total: int) -> None:
    looks = plan_looks(total)
    assert sum(look.level for look in looks) == pytest.approx(0.05)
    assert looks[-1] == Look(total, 0.05 if total <= 100 else 0.025)
    assert len({look.level for look in looks[:-1]}) <= 1


def test_the_looks_share_what_they_are_given() -> None:
    looks = plan_looks(5000, 0.01)
    assert sum(look.level for look in looks) == pytest.approx(0.01)
    assert [look.images for look in looks] == [look.images for look in plan_looks(5000)]
    assert plan_looks(80, 0.01) == (Look(80, 0.01),)


def test_what_is_clear_is_said_at_once() -> None:
    assert judge_look(Paired(60, 30, 0, 10), GATE, Look(100, 0.002)) == "FAIL"
    assert judge_look(Paired(900, 0, 0, 100), GATE, Look(1000, 0.002)) == "PASS"  # 0.99^1000 is 4e-5.
    assert judge_look(Paired(90, 0, 0, 10), GATE, Look(100, 0.002)) == "CONTINUE"
    assert judge_look(Paired(940, 10, 0, 50), GATE, Look(1000, 0.025)) == "CONTINUE"


def test_the_level_decides() -> None:
    # Without a flip the p-value is 0.99^340 = 0.0328.
    assert judge_look(Paired(300, 0, 0, 40), GATE, Look(340, 0.033)) == "PASS"
    assert judge_look(Paired(300, 0, 0, 40), GATE, Look(340, 0.0325)) == "CONTINUE"


def test_more_losses_never_help() -> None:
    ranks = {"PASS": 0, "CONTINUE": 1, "FAIL": 2}
    found = [ranks[judge_counts(lost, 6, Look(2000, 0.005))] for lost in range(0, 80, 3)]
    assert found == sorted(found) and set(found) == {0, 1, 2}


def test_the_bounds_of_a_look_never_contradict_its_verdict() -> None:
    look = Look(1000, 0.0025)
    for lost in range(0, 50, 4):
        low, high = drop_interval(Paired(996 - lost, lost, 4, 0), 1 - look.level)
        expected = "PASS" if high < GATE else "FAIL" if low > GATE else "CONTINUE"
        assert judge_counts(lost, 4, look) == expected


def test_a_look_judges_its_own_number_of_images() -> None:
    with pytest.raises(ValueError, match="a look at 100 images cannot judge 99"):
        judge_look(Paired(99, 0, 0, 0), GATE, Look(100, 0.01))


@pytest.mark.parametrize("gained", [0.0, 0.005])
def test_a_drop_on_the_gate_is_seldom_judged(gained: float) -> None:
    outcomes = run_sets(2000, GATE + gained, gained, 300)
    assert share(outcomes, "PASS") <= 0.05
    assert share(outcomes, "FAIL") <= 0.05
    assert share(outcomes, "PASS") + share(outcomes, "FAIL") > 0.02


def test_looks_that_spend_nothing_judge_it_too_often() -> None:
    outcomes = run_sets(2000, GATE + 0.005, 0.005, 150, judge_unspent)
    assert share(outcomes, "PASS") > 0.07
    assert share(outcomes, "FAIL") > 0.07


def test_no_drop_passes_within_three_thousand_images() -> None:
    outcomes = run_sets(50_000, 0.005, 0.005, 150)
    assert share(outcomes, "PASS", by=3000) >= 0.95


def test_the_order_is_drawn_from_the_ids_alone() -> None:
    ids = [f"class_{index // 50}/{index:04d}.png" for index in range(500)]
    order = visit_order(ids)
    assert sorted(order) == list(range(500))
    assert order == visit_order(ids)
    # Of ten classes that stand one after the other, the first hundred images hold all.
    assert {index // 50 for index in order[:100]} == set(range(10))
    turned = list(reversed(ids))
    assert [turned[index] for index in visit_order(turned)] == [ids[index] for index in order]
    fewer = visit_order(ids[:300])
    assert fewer == [index for index in order if index < 300]
