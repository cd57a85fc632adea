"""Judging a drop while the images are still coming in, and stopping as soon as the verdict is certain.

Looking often at a bound that errs in 5 % errs more often: every look is a chance to be wrong. So the 5 % are spent on
looks laid down before the first image, by an alpha spending function (Lan & DeMets 1983, "Discrete sequential
boundaries for clinical trials", Biometrika 70, 659-663). With looks at n_1 < … < n_K = N images it is

    alpha*(n_k / N) = alpha/2 · k / (K - 1)  for k < K,        alpha*(1) = alpha:

half of it in equal shares on the looks before the last, so that clear cases end early, and half on the last, so that
a set seen to its end is judged nearly as sharply as without looks (in the manner of Haybittle 1971 and Peto 1976).

Each look may spend only its own increment. By the union bound the errors add up to alpha at most, whatever the looks
have in common. Boundaries from their joint distribution (Armitage, McPherson & Rowe 1969) would stop a little earlier,
but take it for normal, which that of few flips is not. For the same reason the bounds at each look are exact ones.

The images of a look must be a random sample of the set: `visit_order`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seatrial.evaluation.exact_drop import drop_interval
from seatrial.evaluation.statistics import Paired

ALPHA = 0.05
"""The chance of a false PASS, and that of a false FAIL, over all looks."""
ROUND_NUMBERS = (1, 2, 3, 5)
"""Looks are at these times 100, 1,000, …: steps of 1.5 to 2."""


@dataclass(frozen=True, slots=True)
class Look:
    """One time at which a verdict may fall."""

    images: int
    """Number of images run so far."""
    level: float
    """The chance of error that each of its two bounds, `drop_interval(…, 1 - level)`, may take."""


def plan_looks(total: int, alpha: float = ALPHA) -> tuple[Look, ...]:
    """The looks at a set of `total` images: at 100, 200, 300, 500, 1,000 … and at its end.

    Args:
        alpha: what they may spend together.
    """
    sizes = [r * 10**power for power in range(2, len(str(total)) + 1) for r in ROUND_NUMBERS if r * 10**power < total]
    if not sizes:
        return (Look(total, alpha),)
    return (*(Look(size, alpha / 2 / len(sizes)) for size in sizes), Look(total, alpha / 2))


def judge_look(paired: Paired, gate_drop: float, look: Look) -> Literal["PASS", "FAIL", "CONTINUE"]:
    """Whether the drop (a fraction) is certain to be below the gate, or above it; after the last look neither may be.

    By the bounds that are printed beside the verdict, so these never contradict it.

    Raises:
        ValueError: this is another number of images than the look's.
    """
    if paired.count != look.images:
        raise ValueError(f"a look at {look.images} images cannot judge {paired.count}")
    low, high = drop_interval(paired, 1 - look.level)
    return "PASS" if high < gate_drop else "FAIL" if low > gate_drop else "CONTINUE"


def visit_order(ids: Sequence[str]) -> list[int]:
    """Positions of images in an order that has nothing to do with their classes: by the hash of their ids.

    The same on every machine, and images that are added leave the order of the others as it was.
    """
    return sorted(range(len(ids)), key=lambda index: (hashlib.sha256(ids[index].encode()).digest(), index))
