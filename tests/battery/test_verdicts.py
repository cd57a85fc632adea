"""Promise 10: a verdict errs in at most 5 % of all sets of images, where its gate is the truth, and so does a change.

The settings, the simulated sets and the sums over all tables are those of benchmarks/drop_gate.py; the machines whose
noise is simulated are those of benchmarks/bench_statistics.py.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from battery_figures import SEED, record_figures
from seatrial.evaluation.sequential import ALPHA
from seatrial.metrics.rate import find_interval
from seatrial.results.speed import Rate, divide

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PAIRS, RUNS = 5000, 2000
QUICK_IMAGES, QUICK_SETTINGS, QUICK_RUNS = 1000, 6, 300


@pytest.fixture(scope="module")
def drop_gate() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import drop_gate

        yield drop_gate


@pytest.fixture(scope="module")
def machines() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import bench_statistics

        yield bench_statistics


def allow(count: int, shares: int) -> float:
    """The share of so many simulated sets that may be wrong, in %: 5, and three standard errors of it.

    Of several shares, each of so many sets, it is as unlikely that any of them exceeds it.
    """
    errors = float(-ndtri(ndtr(-3) / shares))
    return 100 * (ALPHA + errors * (ALPHA * (1 - ALPHA) / count) ** 0.5)


def find_excess(shares: dict[str, float], most: float, where: object) -> Iterator[str]:
    yield from (f"{where}: {what} in {share:.2f} %" for what, share in shares.items() if share > most)


def check_settings(drop_gate: ModuleType, settings: Sequence[object], pairs: int) -> tuple[list[str], float]:
    """Errors of verdicts whose gate is the truth, by all tables and by simulated sets; and the largest, exactly."""
    failures, worst, most = [], 0.0, allow(pairs, 2 * len(settings))
    for setting in settings:
        exact = drop_gate.add_up_errors(drop_gate.find_most_lost, setting)
        lost, gained = drop_gate.draw_tables(setting, setting.gate, pairs, SEED)  # type: ignore[attr-defined]
        drawn = drop_gate.judge_by(drop_gate.find_most_lost, setting, lost, gained)
        failures += find_excess(dict(zip(("PASS", "FAIL"), exact, strict=True)), 100 * ALPHA, setting)
        failures += find_excess(dict(zip(("drawn PASS", "drawn FAIL"), drawn, strict=True)), most, setting)
        worst = max(worst, *exact)
    return failures, worst


def check_early(drop_gate: ModuleType, cases: Sequence[tuple[int, float, float]], runs: int) -> list[str]:
    failures: list[str] = []
    for case in cases:
        shares = dict(zip(("PASS", "FAIL"), drop_gate.run_early(*case, runs, SEED), strict=True))
        failures += find_excess(shares, allow(runs, 2 * len(cases)), f"stopping early, {case}")
    return failures


def check_same_network(drop_gate: ModuleType, counts: Sequence[int]) -> tuple[int, list[str]]:
    """How often a network against itself, with flips that mean nothing, is called less accurate."""
    cases = [(count, flips) for count in counts for flips in drop_gate.FLIPS if count * flips <= drop_gate.MOST_FLIPS]
    failures: list[str] = []
    for count, flips in cases:
        worse = drop_gate.add_up(drop_gate.find_most_lost, count, 0.0, flips / 2, flips / 2)
        failures += find_excess({"a change of accuracy": worse}, 100 * ALPHA, f"{count} images, flips {flips}")
    return len(cases), failures


def check_same_speed(machines: ModuleType, chosen: Sequence[object], runs: int) -> list[str]:
    """How often an engine against itself is called slower or faster."""
    failures: list[str] = []
    for machine in chosen:
        rng = np.random.default_rng(SEED)
        found = []
        for _ in range(runs):
            rates = []
            for _ in range(2):
                samples = machines.draw(machine, rng)
                rates.append(Rate(1000 / float(samples.mean()), find_interval(samples.tolist(), batch_size=1)))
            bounds = divide(*rates).bounds
            assert bounds is not None
            found.append(not bounds[0] <= 1 <= bounds[1])
        failures += find_excess({"a change of speed": 100 * float(np.mean(found))}, allow(runs, len(chosen)), machine)
    return failures


def test_some_verdicts_err_as_rarely_as_they_may(drop_gate: ModuleType, machines: ModuleType) -> None:
    settings = [each for each in drop_gate.list_settings(drop_gate.COUNTS) if each.count <= QUICK_IMAGES]
    chosen = random.Random(SEED).sample(settings, QUICK_SETTINGS)
    failures, _ = check_settings(drop_gate, chosen, PAIRS)
    failures += check_early(drop_gate, drop_gate.EARLY[:1], QUICK_RUNS)
    failures += check_same_network(drop_gate, [300])[1]
    failures += check_same_speed(machines, machines.MACHINES[:1], QUICK_RUNS)
    record_figures(10, "a sample of verdicts", len(chosen) + 3, failures, seed=SEED)


@pytest.mark.battery
def test_verdicts_on_a_drop_err_as_rarely_as_they_may(drop_gate: ModuleType) -> None:
    settings = list(drop_gate.list_settings(drop_gate.COUNTS))
    failures, worst = check_settings(drop_gate, settings, PAIRS)
    record_figures(10, "settings of the gate", len(settings), failures, seed=SEED, notes=f"the worst {worst:.2f} %")


@pytest.mark.battery
def test_stopping_early_errs_as_rarely_as_it_may(drop_gate: ModuleType) -> None:
    failures = check_early(drop_gate, drop_gate.EARLY, RUNS)
    record_figures(10, "settings of early stopping", len(drop_gate.EARLY), failures, seed=SEED)


@pytest.mark.battery
def test_a_network_against_itself_is_no_change(drop_gate: ModuleType) -> None:
    cases, failures = check_same_network(drop_gate, drop_gate.COUNTS)
    record_figures(10, "a network against itself", cases, failures)


@pytest.mark.battery
def test_an_engine_against_itself_is_no_change(machines: ModuleType) -> None:
    judged = [machine for machine in machines.MACHINES if machine.judged]
    record_figures(10, "an engine against itself", len(judged), check_same_speed(machines, judged, RUNS), seed=SEED)
