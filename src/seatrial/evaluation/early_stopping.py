"""`evaluate --until-certain`: images in a random order until it is certain whether the accuracy fell too far."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import LabelledImage
from seatrial.errors import DataError, UsageError
from seatrial.evaluation.ledger import Tally
from seatrial.evaluation.sequential import Look, judge_look, plan_looks, visit_order
from seatrial.evaluation.statistics import CONFIDENCE, Paired
from seatrial.store.predictions import Predictions
from seatrial.store.records import Certainty


def check_certainty(has_reference: bool, allow_partial: bool) -> None:
    """Refuse to stop when a verdict is certain that has no reference, or not every image of its sample.

    Raises:
        UsageError: says which.
    """
    if not has_reference:
        raise UsageError("what is to be certain is a drop against a reference", "give --reference FILE.parquet")
    if allow_partial:
        raise UsageError("a verdict that falls early needs every image of its sample", "leave --allow-partial out")


def list_looks(images: Sequence[LabelledImage]) -> Iterator[tuple[Look, NDArray[np.int64]]]:
    """The looks at a set, and the indices of all images that must be answered by then."""
    order = np.array(visit_order([image.id for image in images]), dtype=np.int64)
    for look in plan_looks(len(images)):
        yield look, order[: look.images]


def reach_certainty(
    images: Sequence[LabelledImage],
    reference: Predictions,
    limit_pp: float,
    answer: Callable[[NDArray[np.int64]], Tally],
) -> Certainty:
    """Have images answered, look by look, until the drop against the reference is certain to be below or above a limit.

    Args:
        reference: it has all of the images.
        answer: has the images of some indices answered, and returns all that is known then.

    Raises:
        DataError: an image cannot be read, so the look that it belongs to cannot be taken.
    """
    first_of = dict(zip(reference.ids, reference.classes[:, 0], strict=True))
    expected = np.array([first_of[image.id] for image in images])
    labels = np.array([image.label for image in images])
    looks = 0
    for look, seen in list_looks(images):
        tally = answer(seen)
        looks += 1
        if tally.bad:
            told = "a look that lacks an image cannot be judged: mend it, or evaluate all with --allow-partial"
            raise DataError(next(iter(tally.bad.values())), told)
        paired = Paired.of(expected[seen] == labels[seen], tally.classes[seen, 0] == labels[seen])
        outcome = judge_look(paired, limit_pp / 100, look)
        if outcome != "CONTINUE":
            break
    told_outcome = "INCONCLUSIVE" if outcome == "CONTINUE" else outcome
    return Certainty(
        limit_pp=limit_pp, outcome=told_outcome, looks=looks, confidence=1 - look.level, of_images=len(images)
    )


def bound_confidence(certainty: Certainty | None) -> float:
    """The confidence of each bound of a drop: that of the look at which the verdict fell."""
    return CONFIDENCE if certainty is None else certainty.confidence
