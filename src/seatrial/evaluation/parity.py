"""Whether two networks that should give the same logits do."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seatrial.errors import ParityError
from seatrial.store.records import StepParity

DISAGREEMENT_LIMIT = 0.005
"""Share of images whose first class may differ."""
DIAGNOSE = "`seatrial diagnose RUN` names the stage of a run at which predictions go wrong"


def measure_parity(step: str, reference: NDArray[np.floating], logits: NDArray[np.floating]) -> StepParity:
    """How far `logits` (n, classes) lie from the reference's.

    Raises:
        ParityError: they are not numbers, so there is no distance.
    """
    if not np.isfinite(logits).all():
        raise ParityError(f"after '{step}' the graph gives NaN or infinity", "the graph is broken: export it again")
    # In 64 bits, as the squares of large logits are infinite in 32, and every error a share of infinity.
    before = reference.astype(np.float64)
    difference = logits.astype(np.float64) - before
    return StepParity(
        step=step,
        images=len(reference),
        relative_error=float(np.linalg.norm(difference) / (np.linalg.norm(before) or 1)),
        largest_error=float(np.abs(difference).max()),
        top1_disagreements=int((reference.argmax(1) != logits.argmax(1)).sum()),
    )


def check_parity(parity: StepParity) -> None:
    """Refuse a step that changed more than half a percent of the first classes.

    Raises:
        ParityError: names the step and how far.
    """
    if parity.top1_disagreements > DISAGREEMENT_LIMIT * parity.images:
        raise ParityError(
            f"after '{parity.step}' {parity.top1_disagreements} of {parity.images} images get another first class "
            f"(relative error {parity.relative_error:.1e})",
            "export without this step, or with another --opset or --exporter",
        )


def check_logits(logits: NDArray[np.floating], names: Sequence[str], coarse: bool = False) -> None:
    """Refuse logits that cannot be a classifier's: not numbers, or the same score for every class.

    Args:
        logits: (n, classes).
        names: what the rows belong to, for the message.
        coarse: they are rounded (`metrics.noise_floor.is_coarse`), so that some may be the same by chance.

    Raises:
        ParityError: names the first image.
    """
    check_finite(logits, names)
    flat = np.flatnonzero(logits.min(axis=1) == logits.max(axis=1))
    if len(flat) > (count_chance_ties(logits) if coarse else 0):
        of_all = f" ({len(flat)} of {len(names)})" if coarse else ""
        raise ParityError(f"the engine gives every class the same score, first for {names[flat[0]]}{of_all}", DIAGNOSE)


def check_finite(logits: NDArray[np.floating], names: Sequence[str]) -> None:
    """Refuse logits (n, classes) that are no numbers.

    Raises:
        ParityError: names the first image.
    """
    broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(broken):
        fix = f"a wider precision may mend it; {DIAGNOSE}"
        raise ParityError(f"the engine gives NaN or infinity, first for {names[broken[0]]}", fix)


MOST_TIES = 3
"""So many images may have the same score for every class where no other came near it."""


def count_chance_ties(logits: NDArray[np.floating]) -> int:
    """The most images that rounding may give the same score for every class, seen from those that it nearly did.

    Scores (n, k) that are rounded fall on few values. Of the images whose scores lie on values not more than two apart,
    those with all on one are a part: margins are no denser around 0 than beside it. Two, because scores of two classes
    that are each other's opposite move apart by two values at a time. Three standard deviations are added.
    """
    _, rank = np.unique(logits, return_inverse=True)
    near = int(np.isin(np.ptp(rank.reshape(logits.shape), axis=1), (1, 2)).sum())
    return MOST_TIES + math.floor(near + 3 * math.sqrt(near))


class Variety:
    """Notices an engine that gives every image the same logits.

    It looks at a whole set: a few images may be copies of each other.
    """

    def __init__(self) -> None:
        self._count = 0
        self._first: tuple[NDArray[np.generic], NDArray[np.floating]] | None = None
        self._images_differ = self._answers_differ = False

    def see(self, images: NDArray[np.generic], logits: NDArray[np.floating]) -> None:
        """Take in some images (n, …) and their logits (n, classes)."""
        if self._first is None:
            self._first = images[0].copy(), logits[0].copy()
        self._count += len(logits)
        self._images_differ = self._images_differ or bool((images != self._first[0]).any())
        self._answers_differ = self._answers_differ or bool((logits != self._first[1]).any())

    def check(self) -> None:
        """Refuse the same logits for images that differ.

        Raises:
            ParityError: names how many.
        """
        if self._images_differ and not self._answers_differ:
            raise ParityError(f"the engine gives {self._count} images the same logits, though they differ", DIAGNOSE)


def check_outputs(
    images: NDArray[np.generic], logits: NDArray[np.floating], names: Sequence[str] = (), coarse: bool = False
) -> None:
    """Refuse logits (n, classes) of some images that cannot be a classifier's.

    Args:
        names: of the images; else they are numbered.
        coarse: see `check_logits`.

    Raises:
        ParityError: they are not numbers, or the same for every class or every image.
    """
    check_logits(logits, names or [f"image {i}" for i in range(len(logits))], coarse)
    variety = Variety()
    variety.see(images, logits)
    variety.check()


ALIKE_LIMIT = 0.01
"""Share of images that may have the logits of another one: near copies do, after int8's rounding."""
LOOKED_AT = 32


def find_alike(digests: NDArray[np.uint64]) -> list[tuple[int, int]]:
    """Pairs of images that have the same logits, if there are so many that the images must be looked at.

    Args:
        digests: (n,), what identifies the logits of each image.

    Returns:
        At most `LOOKED_AT` pairs, evenly spaced: the first image with those logits, and a later one.
    """
    _, first_of, group = np.unique(digests, return_index=True, return_inverse=True)
    first = first_of[group]
    repeated = np.flatnonzero(first != np.arange(len(digests)))
    if len(repeated) <= max(1, ALIKE_LIMIT * len(digests)) and len(repeated) < len(digests) - 1:
        return []
    chosen = repeated[np.linspace(0, len(repeated) - 1, min(LOOKED_AT, len(repeated))).astype(int)]
    return [(int(first[index]), int(index)) for index in chosen]


SIGNIFICANCE = 1e-6
"""Repeated logits are an engine's own when chance would have them fit the labels as well less often than this."""


def fit_labels(digests: NDArray[np.uint64], first_class: NDArray[np.int32], labels: NDArray[np.int32]) -> bool:
    """Whether images that have the logits of another have the class that these name, too.

    An engine whose output is rounded to few values gives them to many images, each of them right or wrong as usual. One
    that hands out the logits of another image is right as often as chance: as the label of an image drawn from
    the set is the class that it named. Where labels are wrong throughout, the repeated logits still part them: images
    with the same logits have the same label more often than two images of the set.

    Args:
        digests: (n,), what identifies the logits of each image.
        first_class: (n,), its best class.
        labels: (n,)
    """
    # Here, as a bare install, which has no scipy, scores predictions, and so reads this file.
    from scipy.special import bdtrc

    _, first_of, group = np.unique(digests, return_index=True, return_inverse=True)
    first = first_of[group]
    later = np.flatnonzero(first != np.arange(len(digests)))
    share = np.bincount(labels, minlength=int(max(labels.max(), first_class.max())) + 1) / len(labels)
    right = int((first_class[later] == labels[later]).sum())
    alike = int((labels[first[later]] == labels[later]).sum())
    chances = (right, float(share[first_class[later]].mean())), (alike, float(share[labels[first[later]]].mean()))
    return any(hits and bdtrc(hits - 1, len(later), chance) < SIGNIFICANCE for hits, chance in chances)
