"""Two engines' first classes on the same images, image by image."""

import numpy as np
from numpy.typing import NDArray

from seatrial.evaluation.exact_drop import drop_interval
from seatrial.evaluation.statistics import Paired, mcnemar_p
from seatrial.metrics.intervals import CONFIDENCE
from seatrial.store.records import Comparison


def compare_first_classes(
    reference: NDArray[np.integer],
    predicted: NDArray[np.integer],
    labels: NDArray[np.integer],
    name: str,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Compare first classes (n,) with a reference's on the same images in the same order; `name` is the reference's."""
    paired = Paired.of(reference == labels, predicted == labels)
    low, high = drop_interval(paired, confidence)
    return Comparison(
        reference=name,
        images=paired.count,
        both_right=paired.both_right,
        lost=paired.lost,
        gained=paired.gained,
        changed=int((reference != predicted).sum()),
        drop_pp=100 * paired.drop,
        low_pp=100 * low,
        high_pp=100 * high,
        confidence=confidence,
        p_value=mcnemar_p(paired.lost, paired.gained),
    )
