"""How often the gate on a drop errs, and what it takes to pass it: Tango's interval beside ours.

    python benchmarks/drop_gate.py [--tables errors needs early] [--pairs 20000] [--runs 2000] [--most-flips 250]

Each line of the first table is a setting: so many images, a gate, a share of images whose answers disagree ("flips").
With the true drop on the gate every PASS and every FAIL is false: in % of the simulated sets, and beside ours as it
follows from all tables and their chances. Then the sets without a verdict, INCONCLUSIVE, when the drop is on the gate,
when there is none, and when it is two gates. The second table is how many images pass a gate in 80 % of all sets when
the true drop is zero; the third the rule of early stopping.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from drop_tables import Counts, find_most_lost, find_tangos, judge_tables
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import binom

from seatrial.evaluation.sequential import ALPHA, plan_looks

COUNTS = (100, 200, 300, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)
GATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
FLIPS = (0.002, 0.004, 0.01, 0.02, 0.05, 0.1, 0.2)
TABLES = ("errors", "needs", "early")
MOST_FLIPS = 250
"""Expected in a set: with more, the normal curve is right and both rules err in 5.0 %, and judging takes long."""
POWER = 0.8
"""Share of sets without a drop that must pass."""
NEED_GATES = (0.002, 0.005, 0.01, 0.02)
NEED_FLIPS = (0.002, 0.005, 0.01, 0.02, 0.04)
MOST_NEEDED = 40_000
EARLY = [
    (total, gate, flips)
    for total in (1000, 5000, 20_000)
    for gate, flips in ((0.002, 0.002), (0.002, 0.004), (0.005, 0.005), (0.005, 0.01), (0.01, 0.01), (0.01, 0.02))
]
NAMES = (
    *(f"{rule}, false {outcome}" for rule in ("Tango", "ours") for outcome in ("PASS", "FAIL")),
    *(f"{rule}, false {outcome}, all tables" for rule in ("Tango", "ours") for outcome in ("PASS", "FAIL")),
)
Find = Callable[[int, Counts, float, float], Counts]


@dataclass(frozen=True)
class Setting:
    """Shares are fractions."""

    count: int
    gate: float
    flips: float


@dataclass(frozen=True)
class Shares:
    """Of simulated sets, in %: how they ended when the drop is the gate, and which ended without a verdict."""

    passed: float
    failed: float
    open_on_gate: float
    open_without_drop: float
    open_at_two: float


def list_settings(counts: Sequence[int], most_flips: int = MOST_FLIPS) -> Iterator[Setting]:
    """Every gate with the flips that it allows, from those of a drop without a gain."""
    for count in counts:
        for gate in GATES:
            for flips in sorted({gate, *(share for share in FLIPS if share > gate)}):
                if count * flips <= most_flips:
                    yield Setting(count, gate, flips)


def draw_tables(setting: Setting, drop: float, pairs: int, seed: int) -> tuple[Counts, Counts]:
    """Losses and gains of simulated sets."""
    flips = max(setting.flips, drop)
    chances = [(flips + drop) / 2, max(0.0, (flips - drop) / 2), 1 - flips]
    words = [seed, setting.count, *(round(1e6 * share) for share in (setting.gate, setting.flips, drop))]
    drawn = np.random.default_rng(words).multinomial(setting.count, chances, pairs)
    return drawn[:, 0], drawn[:, 1]


def judge_by(find: Find, setting: Setting, lost: Counts, gained: Counts) -> tuple[float, float]:
    """Shares of sets that pass and fail, in %."""
    passed = lost <= find(setting.count, gained, setting.gate, ALPHA)
    failed = gained <= find(setting.count, lost, -setting.gate, ALPHA)
    return 100 * float(passed.mean()), 100 * float(failed.mean())


def simulate(find: Find, setting: Setting, pairs: int, seed: int) -> Shares:
    """Sets with their drop on the gate, and a quarter as many without a drop and with twice the gate's."""
    passed, failed = judge_by(find, setting, *draw_tables(setting, setting.gate, pairs, seed))
    others = [
        100 - sum(judge_by(find, setting, *draw_tables(setting, drop, pairs // 4, seed)))
        for drop in (0.0, 2 * setting.gate)
    ]
    return Shares(passed, failed, 100 - passed - failed, *others)


def add_up(find: Find, count: int, gate: float, loss: float, gain: float) -> float:
    """The chance of passing, over all tables, in %: failing with losses and gains, and the gate's sign, exchanged."""
    first, last = binom.ppf(1e-7, count, gain), binom.isf(1e-7, count, gain)
    gained = np.arange(max(0, int(first)), int(last) + 1)
    most = find(count, gained, gate, ALPHA)
    chances = binom.pmf(gained, count, gain) * binom.cdf(most, count - gained, loss / (1 - gain))
    return 100 * float(chances.sum())


def add_up_errors(find: Find, setting: Setting) -> tuple[float, float]:
    """The chances of a false PASS and a false FAIL, in %."""
    loss, gain = (setting.flips + setting.gate) / 2, (setting.flips - setting.gate) / 2
    return (
        add_up(find, setting.count, setting.gate, loss, gain),
        add_up(find, setting.count, -setting.gate, gain, loss),
    )


def find_need(find: Find, gate: float, flips: float) -> int:
    """The fewest images from which on sets without a drop pass often enough: four steps of 1 % in a row."""
    z = float(ndtri(1 - ALPHA) + ndtri(POWER))
    start = 0.85 * max(z * z * flips / gate**2, float(ndtri(ALPHA)) ** 2 / gate)
    often, step = 0, 0
    while often < 4:
        count = round(start * 1.01**step)
        often = often + 1 if add_up(find, count, gate, flips / 2, flips / 2) >= 100 * POWER else 0
        step += 1
    return round(start * 1.01 ** (step - 4))


def find_worst_pass(find: Find, count: int, gate: float) -> float:
    """The chance of a false PASS at the worst share of flips, in %."""
    gains = np.concatenate([np.linspace(0, 12, 49), np.linspace(13, 60, 20)]) / count
    return max(add_up(find, count, gate, gain + gate, gain) for gain in gains.tolist() if 2 * gain + gate <= 1)


def run_early(total: int, gate: float, flips: float, runs: int, seed: int) -> tuple[float, float]:
    """Shares of false verdicts of the rule that stops early, in %, with the drop on the gate."""
    looks = plan_looks(total)
    steps = np.diff([look.images for look in looks], prepend=0)
    chances = [(flips + gate) / 2, (flips - gate) / 2, 1 - flips]
    drawn = (
        np.random.default_rng([seed, total, round(1e6 * gate), round(1e6 * flips)])
        .multinomial(steps, chances, (runs, len(looks)))
        .cumsum(axis=1)
    )
    ends: NDArray[np.int64] = np.zeros(runs, dtype=np.int64)
    for k, look in enumerate(looks):
        going = np.flatnonzero(ends == 0)
        passed, failed = judge_tables(look.images, drawn[going, k, 0], drawn[going, k, 1], gate, look.level)
        ends[going] = np.where(passed, 1, np.where(failed, -1, 0))
    return 100 * float((ends == 1).mean()), 100 * float((ends == -1).mean())


def write_setting(setting: Setting, tango: Shares, ours: Shares, exact: tuple[float, float]) -> str:
    """A line of the first table."""
    opened = (
        (tango.open_on_gate, ours.open_on_gate),
        (tango.open_without_drop, ours.open_without_drop),
        (tango.open_at_two, ours.open_at_two),
    )
    return (
        f"{setting.count:>6}{100 * setting.gate:>6.1f}{100 * setting.flips:>8.1f}"
        f"{tango.passed:>10.2f}{ours.passed:>10.2f}{exact[0]:>10.3f}"
        f"{tango.failed:>10.2f}{ours.failed:>10.2f}{exact[1]:>10.3f}   "
        + "".join(f"{f'{before:.1f} ({after:.1f})':>14}" for before, after in opened)
    )


def print_settings(settings: Sequence[Setting], pairs: int, seed: int) -> float:
    """The first table; the largest of our errors above what chance adds, in %."""
    print(f"{'':<20}{'false PASS':>30}{'false FAIL':>30}{'INCONCLUSIVE, Tango (ours)':>45}")
    columns = f"{'Tango':>10}{'ours':>10}{'exact':>10}"
    print(f"{'images':>6}{'gate':>6}{'flips':>8}{columns}{columns}{'on the gate':>17}{'no drop':>14}{'2 gates':>14}")
    shares: dict[str, list[float]] = {name: [] for name in NAMES}
    for setting in settings:
        tango, ours = (simulate(find, setting, pairs, seed) for find in (find_tangos, find_most_lost))
        before, exact = (add_up_errors(find, setting) for find in (find_tangos, find_most_lost))
        print(write_setting(setting, tango, ours, exact), flush=True)
        found = (tango.passed, tango.failed, ours.passed, ours.failed, *before, *exact)
        for name, share in zip(NAMES, found, strict=True):
            shares[name].append(share)
    error = 100 * (ALPHA * (1 - ALPHA) / pairs) ** 0.5
    print(f"{len(settings)} settings of {pairs} pairs; the standard error of 5 % is {error:.2f} points; the worst:")
    for name, values in shares.items():
        at = settings[int(np.argmax(values))]
        print(f"  {name}: {max(values):.2f} % at {at.count} images, gate {100 * at.gate:g}, flips {100 * at.flips:g} %")
    drawn, exactly = (max(max(shares[name]) for name in names) for names in (NAMES[2:4], NAMES[6:]))
    return max(drawn - 3 * error, exactly)


def print_needs() -> None:
    """The second table."""
    print(
        f"\nimages that pass in {POWER:.0%} of all sets when the true drop is zero, and the worst false PASS there in %"
    )
    print(f"{'gate':>6}{'flips':>8}{'Tango':>8}{'errs':>8}{'ours':>8}{'errs':>8}{'growth':>9}")
    growths = []
    for gate in NEED_GATES:
        for flips in NEED_FLIPS:
            if 6.2 * flips / gate**2 > MOST_NEEDED:
                continue
            before, after = (find_need(find, gate, flips) for find in (find_tangos, find_most_lost))
            errors = [find_worst_pass(find_tangos, before, gate), find_worst_pass(find_most_lost, after, gate)]
            growth = 100 * (after / before - 1)
            growths.append(growth)
            print(
                f"{100 * gate:>6.1f}{100 * flips:>8.1f}{before:>8}{errors[0]:>8.2f}{after:>8}{errors[1]:>8.2f}"
                f"{growth:>8.1f}%",
                flush=True,
            )
    print(f"growth: {np.mean(growths):.1f} % in the mean, {np.median(growths):.1f} % in the median")


def print_early(runs: int, seed: int) -> float:
    """The third table; the largest error, in %, less what chance adds."""
    error = 100 * (ALPHA * (1 - ALPHA) / runs) ** 0.5
    print(
        f"\nstopping early, the drop on the gate: in % of {runs} sets; the standard error of 5 % is {error:.2f} points"
    )
    print(f"{'images':>6}{'gate':>6}{'flips':>8}{'false PASS':>12}{'false FAIL':>12}")
    worst = 0.0
    for total, gate, flips in EARLY:
        passed, failed = run_early(total, gate, flips, runs, seed)
        worst = max(worst, passed, failed)
        print(f"{total:>6}{100 * gate:>6.1f}{100 * flips:>8.1f}{passed:>12.2f}{failed:>12.2f}", flush=True)
    print(f"the worst: {worst:.2f} %")
    return worst - 3 * error


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables; 1 if ours erred more often than it may."""
    from seatrial.machine.environment import read_environment

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--most-flips", type=int, default=MOST_FLIPS, help="expected in a set")
    parser.add_argument("--tables", choices=TABLES, nargs="+", default=TABLES)
    parser.add_argument("--runs", type=int, default=2000, help="of early stopping")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(words)
    environment = read_environment()
    print(f"{environment.cpu}, {environment.cores} cores; Python {environment.python}, numpy {np.__version__}")
    worst = 0.0
    if "errors" in asked.tables:
        worst = print_settings(list(list_settings(asked.counts, asked.most_flips)), asked.pairs, asked.seed)
    if "needs" in asked.tables:
        print_needs()
    if "early" in asked.tables:
        worst = max(worst, print_early(asked.runs, asked.seed))
    return int(worst > 100 * ALPHA)


if __name__ == "__main__":
    raise SystemExit(main())
