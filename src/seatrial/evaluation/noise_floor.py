"""How far a stage may move the logits by rounding alone, and whether it moved them further."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from seatrial.evaluation.parity import measure_parity
from seatrial.store.diagnosis import Distance

PER_IMAGE = 5.0
"""One image may lie further off than all together by this; 3.3 is the most that was measured."""
SIGMAS = 3.0
"""Standard deviations that chance may add to the flips that are expected of noise."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The noise that a stage may add."""

    relative_error: float
    reason: str


FLOORS = {
    "fp32": Floor(1e-5, "sums in another order, 24 bits of mantissa: at most 9.5e-7 was measured"),
    "int8": Floor(1e-1, "255 steps for each layer: at most 4.3e-2 was measured"),
}
"""From torch in fp32 to a precision, as relative error of the logits. docs/diagnose.md has the measurements."""
MANTISSA_BITS = {"tf32": 10, "fp16": 10, "bf16": 7}
"""As stored: the floor of these is what rounding to so many bits does to torch on the images at hand."""
ROUNDINGS = 2.0
"""Times that; engines lay at 0.3 to 1.0 of it."""
SAME_INT8 = Floor(3e-2, "values halfway between two steps go to the one or the other: at most 1.4e-2 was measured")
"""From an int8 graph to an engine that runs it."""
SAME_FLOORS = {"fp32": 1e-4, "tf32": 1e-2, "fp16": 1e-2, "bf16": 5e-2, "int8": SAME_INT8.relative_error}
"""What the logits of an image may move by when an engine runs it again, by the precision that the engine computes in:
some ten times its rounding, since engines choose other kernels, and so other sums, for other threads and batches, and
another kind of processor rounds otherwise. Another network's lie about 1 apart. Everything else, such as weights of 4
bits, may move them by as much as int8 moves those of torch."""


def find_same_floor(precision: str, executed: Mapping[str, int]) -> float:
    """The floor between two runs of an engine that was asked for a precision and runs layers in some."""
    return max(SAME_FLOORS.get(name, FLOORS["int8"].relative_error) for name in (precision, *executed))


def find_batch_floor(precision: str, executed: Mapping[str, int], dynamic: bool = False) -> float:
    """`find_same_floor` where the other images of the batch differ.

    Args:
        dynamic: the graph takes scales of int8 from the batch (`GraphManifest.dynamic_scales`).
    """
    floor = find_same_floor(precision, executed)
    return max(floor, FLOORS["int8"].relative_error) if dynamic else floor


def is_coarse(precision: str, executed: Mapping[str, int]) -> bool:
    """Whether logits of an engine may be rounded so far that those of different images, or classes, are often equal."""
    return not {precision, *executed} <= {"fp32", "tf32"}


@dataclass(frozen=True, slots=True)
class Held:
    """Logits held against others."""

    distance: Distance
    floor: float
    chance_flips: int
    excess: str | None
    """In words what of the distance is more than noise; None where nothing is."""


def hold(reference: NDArray[np.floating], logits: NDArray[np.floating], names: Sequence[str], floor: float) -> Held:
    """Measure the distance of logits (n, classes) from the reference's and judge it by a floor of relative error.

    Raises:
        ParityError: they are not numbers.
    """
    distance, chance = measure_distance(reference, logits, names), count_chance_flips(reference, floor)
    return Held(distance, floor, chance, find_excess(distance, floor, chance))


def measure_distance(reference: NDArray[np.floating], logits: NDArray[np.floating], names: Sequence[str]) -> Distance:
    """How far `logits` (n, classes) lie from the reference's.

    Args:
        names: of the images.

    Raises:
        ParityError: they are not numbers.
    """
    whole = measure_parity("it", reference, logits)
    apart = np.linalg.norm(logits.astype(np.float64) - reference.astype(np.float64), axis=1)
    worst = int(apart.argmax())
    return Distance(
        relative_error=whole.relative_error,
        largest_error=whole.largest_error,
        worst_image=names[worst],
        worst_image_error=float(apart[worst] / (_usual_norm(reference) or 1)),
        flips=whole.top1_disagreements,
    )


def count_chance_flips(reference: NDArray[np.floating], floor: float) -> int:
    """The most flips that noise of the relative size `floor`, alike in all logits, would give: mean and 3 sigma.

    Each of an image's other classes overtakes the first where the difference of two normal numbers exceeds the gap;
    the chances of the classes are added up (a union bound), and images are independent.
    """
    deviation = max(floor * _usual_norm(reference) / math.sqrt(reference.shape[1]), np.finfo(np.float64).tiny)
    scores = reference.astype(np.float64)
    first = scores.argmax(axis=1)[:, None]
    gaps = np.take_along_axis(scores, first, axis=1) - scores
    chances = ndtr(-gaps / (deviation * math.sqrt(2)))
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
