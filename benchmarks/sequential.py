"""Verdicts on simulated sets: Wald's bounds beside ours, at the end of a set and while its images come in.

    python benchmarks/sequential.py [--runs 2000] [--totals 1000 5000 10000 50000] [--seed 1]

Each line is a set of so many images, a gate, a share of images whose answers disagree (right in one, wrong in the
other) and a true drop. Where the drop lies on the gate every PASS and every FAIL is false, and neither may come in more
than 5 % of the runs. "Wald, every look" takes the first of the sequential test's looks at which a bound of Wald's is
past the gate. "ours" is judged once, at the end of the set, "ours, every look" by the sequential test.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from drop_tables import judge_tables
from numpy.typing import NDArray
from scipy.special import ndtri

from seatrial.evaluation.sequential import ALPHA, Look, plan_looks

TOTALS = (1000, 5000, 10_000, 50_000)
GATES = (0.002, 0.005, 0.01)
DISAGREEMENTS = (0.01, 0.02, 0.05)
SOON = 3000
"""Images within which a clear case should be settled."""
Z = float(ndtri(1 - ALPHA))
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """One line of the table; shares are fractions."""

    total: int
    gate: float
    disagreement: float
    drop: float


@dataclass(frozen=True)
class Tables:
    """What was counted up to each look: (runs, looks)."""

    lost: NDArray[np.int64]
    gained: NDArray[np.int64]


@dataclass(frozen=True)
class Ends:
    """How the runs ended, each (runs,)."""

    passed: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    images: NDArray[np.int64]
    """Seen until then."""


def list_cases(totals: Sequence[int]) -> Iterator[Case]:
    """First all whose drop lies on the gate, with nothing gained at all and more and more flips, then clear ones."""
    for total in totals:
        for gate in GATES:
            yield from (Case(total, gate, share, gate) for share in (gate, *(d for d in DISAGREEMENTS if d > gate)))
    for total in totals:
        for gate in GATES:
            yield Case(total, gate, 0.01, 0.0)
            yield Case(total, gate, max(0.01, 2 * gate), 2 * gate)


def draw_tables(case: Case, looks: Sequence[Look], runs: int, seed: int) -> Tables:
    """Losses and gains of simulated sets."""
    lost, gained = (case.disagreement + case.drop) / 2, (case.disagreement - case.drop) / 2
    rng = np.random.default_rng([seed, case.total, round(1e6 * case.gate), round(1e6 * lost), round(1e6 * gained)])
    steps = np.diff([look.images for look in looks], prepend=0)
    flips = rng.multinomial(steps, [lost, gained, 1 - lost - gained], (runs, len(steps))).cumsum(axis=1)
    return Tables(flips[..., 0], flips[..., 1])


def judge_wald(tables: Tables, looks: Sequence[Look], gate: float) -> Ends:
    """End each run at the first look at which a bound of Wald's is past the gate, or at the last."""
    passes, fails = np.empty(tables.lost.shape, dtype=bool), np.empty(tables.lost.shape, dtype=bool)
    for k, look in enumerate(looks):
        lost, gained, n = tables.lost[:, k], tables.gained[:, k], look.images
        spread = np.sqrt(np.maximum(0, lost + gained - (lost - gained) ** 2 / n))
        with np.errstate(divide="ignore"):
            statistic = (lost - gained - n * gate) / spread
        passes[:, k], fails[:, k] = statistic <= -Z, statistic >= Z
    return end_runs(passes, fails, looks)


def judge_ours(tables: Tables, looks: Sequence[Look], gate: float) -> Ends:
    """End each run at the first look at which ours is past the gate, or at the last."""
    passes, fails = np.zeros(tables.lost.shape, dtype=bool), np.zeros(tables.lost.shape, dtype=bool)
    for k, look in enumerate(looks):
        going = np.flatnonzero(~(passes | fails).any(axis=1))
        lost, gained = tables.lost[going, k], tables.gained[going, k]
        passes[going, k], fails[going, k] = judge_tables(look.images, lost, gained, gate, look.level)
    return end_runs(passes, fails, looks)


def end_runs(passes: Flags, fails: Flags, looks: Sequence[Look]) -> Ends:
    """The first verdict of each run; both (runs, looks)."""
    decided = passes | fails
    first = np.where(decided.any(axis=1), decided.argmax(axis=1), len(looks) - 1)
    run = np.arange(len(first))
    return Ends(passes[run, first], fails[run, first], np.array([look.images for look in looks])[first])


def judge_all(case: Case, runs: int, seed: int) -> dict[str, Ends]:
    """Ends of the same simulated sets, by method."""
    looks = plan_looks(case.total)
    tables = draw_tables(case, looks, runs, seed)
    at_end = Tables(tables.lost[:, -1:], tables.gained[:, -1:])
    once = [Look(case.total, ALPHA)]
    return {
        "Wald": judge_wald(at_end, once, case.gate),
        "Wald, every look": judge_wald(tables, looks, case.gate),
        "ours": judge_ours(at_end, once, case.gate),
        "ours, every look": judge_ours(tables, looks, case.gate),
    }


def write_line(case: Case, ends: dict[str, Ends]) -> str:
    """A line of the table: shares in percent."""
    drop = "gate" if case.drop == case.gate else "none" if case.drop == 0 else f"{case.drop / case.gate:g} gates"
    shares = "".join(f"{100 * found.passed.mean():>11.1f}{100 * found.failed.mean():>7.1f}" for found in ends.values())
    ours = ends["ours, every look"]
    soon = 100 * ((ours.passed | ours.failed) & (ours.images <= SOON)).mean()
    return (
        f"{case.total:>6}{100 * case.gate:>6.1f}{100 * case.disagreement:>8.1f}  {drop:<7}{shares}"
        f"{soon:>10.1f}{np.median(ours.images):>8.0f}"
    )


def main(words: Sequence[str] | None = None) -> int:
    """Simulate and print the table; 1 if ours erred more often than it may."""
    from seatrial.machine.environment import read_environment

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--totals", type=int, nargs="+", default=TOTALS)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(words)
    environment = read_environment()
    print(f"{environment.cpu}, {environment.cores} cores; Python {environment.python}, numpy {np.__version__}")
    error = 100 * (ALPHA * (1 - ALPHA) / asked.runs) ** 0.5
    print(f"PASS and FAIL in % of {asked.runs} simulated sets; the standard error of 5 % is {error:.1f}")
    print(f"{'':<22}" + "".join(f"{name:>18}" for name in ("Wald", "Wald, every look", "ours", "ours, every look")))
    columns = f"{'PASS':>11}{'FAIL':>7}" * 4
    print(f"{'images':>6}{'gate':>6}{'flips':>8}  {'drop':<7}{columns}{f'by {SOON}':>10}{'median':>8}")
    worst = 0.0
    for case in list_cases(asked.totals):
        ends = judge_all(case, asked.runs, asked.seed)
        print(write_line(case, ends), flush=True)
        if case.drop == case.gate:
            ours = ends["ours, every look"]
            worst = max(worst, ours.passed.mean(), ours.failed.mean())
    print(f"the most that ours at every look erred: {worst:.1%}")
    return int(worst > ALPHA)


if __name__ == "__main__":
    raise SystemExit(main())
