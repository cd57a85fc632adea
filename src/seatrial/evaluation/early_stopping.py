"""`evaluate --until-certain`: images in a random order until it is certain whether the accuracy fell too far."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import LabelledImage
from seatrial.errors import DataError, UsageError
from seatrial.evaluation.ledger import Tally
from seatrial.evaluation.sequential import ALPHA, judge_look, plan_looks, visit_order
from seatrial.evaluation.statistics import Paired
from seatrial.store.predictions import Predictions
from seatrial.store.records import EarlyStopping


def check_early_stopping(has_reference: bool, has_labels: bool, allow_partial: bool) -> None:
    """Refuse early stopping without a reference or labels, or with images left out.

    Raises:
        UsageError: names which.
    """
    if not has_labels:
        raise UsageError("--until-certain judges a drop of top-1, and the images have no labels", "give --labels FILE")
    if not has_reference:
        raise UsageError("--until-certain judges a drop against a reference", "give --reference FILE.parquet")
    if allow_partial:
        raise UsageError("--until-certain needs every image of its sample", "leave --allow-partial out")


def stop_early(
    images: Sequence[LabelledImage],
    reference: Predictions,
    limit_pp: float,
    predict: Callable[[NDArray[np.int64]], Tally],
    alpha: float = ALPHA,
) -> EarlyStopping:
    """Run images, look by look, until the drop against the reference is certain to be below or above a limit.

    Args:
        reference: it has all of the images.
        predict: runs the images of some indices, and returns the results so far.
        alpha: the chance of a false PASS, and that of a false FAIL.

    Raises:
        DataError: an image cannot be read, so the look that it belongs to cannot be taken.
    """
    first_of = dict(zip(reference.ids, reference.classes[:, 0], strict=True))
    expected = np.array([first_of[image.id] for image in images])
    labels = np.array([image.label for image in images])
    looks = plan_looks(len(images), alpha)
    order = np.array(visit_order([image.id for image in images]), dtype=np.int64)
    for look in looks:
        seen = order[: look.images]
        tally = predict(seen)
        if tally.bad:
            fix = "early stopping needs every image: mend it, or evaluate all with --allow-partial"
            raise DataError(next(iter(tally.bad.values())), fix)
        paired = Paired.of(expected[seen] == labels[seen], tally.classes[seen, 0] == labels[seen])
        outcome = judge_look(paired, limit_pp / 100, look)
        if outcome != "CONTINUE":
            break
    final = "INCONCLUSIVE" if outcome == "CONTINUE" else outcome
    return EarlyStopping(
        limit_pp=limit_pp, outcome=final, looks=looks.index(look) + 1, confidence=1 - look.level, of_images=len(images)
    )
