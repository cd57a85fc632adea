"""How far one set of logits lies from another, and whether that is more than noise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.evaluation.parity import measure_parity
from seatrial.store.diagnosis import Distance

PER_IMAGE = 5.0
"""One image may lie further off than all together by this; 3.3 is the most that was measured."""


SIGMAS = 3.0
"""Standard deviations that chance may add to the flips that are expected of noise."""

_erfc = np.frompyfunc(math.erfc, 1, 1)
"""Of each element; loading scipy for its own takes as long as a million of them."""


@dataclass(frozen=True, slots=True)
class LogitsComparison:
    """How far logits lie from others, judged."""

    distance: Distance
    floor: float
    chance_flips: int
    excess: str | None
    """In words what of the distance is more than noise; None where nothing is."""


def compare_logits(
    reference: NDArray[np.floating], logits: NDArray[np.floating], names: Sequence[str], floor: float
) -> LogitsComparison:
    """Measure the distance of logits (n, classes) from the reference's and judge it by a floor of relative error.

    Args:
        names: of the images.

    Raises:
        ParityError: they are not numbers.
    """
    whole = measure_parity("it", reference, logits)
    apart = np.linalg.norm(logits.astype(np.float64) - reference.astype(np.float64), axis=1)
    worst = int(apart.argmax())
    distance = Distance(
        relative_error=whole.relative_error,
        largest_error=whole.largest_error,
        worst_image=names[worst],
        worst_image_error=float(apart[worst] / (_usual_norm(reference) or 1)),
        flips=whole.top1_disagreements,
    )
    chance = count_chance_flips(reference, floor)
    return LogitsComparison(distance, floor, chance, find_excess(distance, floor, chance))


def count_chance_flips(reference: NDArray[np.floating], floor: float) -> int:
    """The most flips that noise of the relative size `floor`, alike in all logits, would give: mean and 3 sigma.

    Each of an image's other classes overtakes the first where the difference of two normal numbers exceeds the gap;
    the chances of the classes are added up (a union bound), and images are independent.
    """
    deviation = max(floor * _usual_norm(reference) / math.sqrt(reference.shape[1]), np.finfo(np.float64).tiny)
    scores = reference.astype(np.float64)
    first = scores.argmax(axis=1)[:, None]
    gaps = np.take_along_axis(scores, first, axis=1) - scores
    # Each difference has the deviation times the root of 2, and erfc takes another of them.
    chances = 0.5 * np.asarray(_erfc(gaps / (2 * deviation)), dtype=np.float64)
    np.put_along_axis(chances, first, 0.0, axis=1)
    chance = np.minimum(chances.sum(axis=1), 1.0)
    return math.floor(float(chance.sum()) + SIGMAS * math.sqrt(float((chance * (1 - chance)).sum())))


def find_excess(distance: Distance, floor: float, chance_flips: int) -> str | None:
    """In words what of a distance is more than noise; None where nothing is."""
    if distance.relative_error > floor:
        return f"relative error {distance.relative_error:.1e} above the floor of {floor:.1e}"
    if distance.worst_image_error > PER_IMAGE * floor:
        return (
            f"relative error {distance.worst_image_error:.1e} on {distance.worst_image}, more than {PER_IMAGE:g} times "
            f"the floor of {floor:.1e}"
        )
    if distance.flips > chance_flips:
        return f"{distance.flips} other first classes, where noise at the floor of {floor:.1e} gives {chance_flips}"
    return None


def _usual_norm(logits: NDArray[np.floating]) -> float:
    """Root mean square of the images' norms."""
    return float(np.linalg.norm(logits.astype(np.float64)) / math.sqrt(len(logits)))
