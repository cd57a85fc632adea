"""Predictions with closed-form labels, for tests of ledgers that grow."""

import numpy as np

from seatrial.evaluation.stream import PredictionBatch

COUNT, CLASSES = 100, 7
LABELS = np.array([index % CLASSES for index in range(COUNT)], dtype=np.int32)


def predict(*indices: int, right: int = 0, bad: dict[int, str] | None = None) -> PredictionBatch:
    """Predictions whose first class is right for the first `right` images; of the others the second one is."""
    rows = np.array(indices, dtype=np.int64)
    classes = (LABELS[rows][:, None] + np.arange(5)) % CLASSES
    classes[right:] = (classes[right:] - 1) % CLASSES
    count = len(rows)
    return PredictionBatch(
        indices=rows,
        classes=classes.astype(np.int32),
        scores=np.zeros((count, 5), np.float32),
        log_denominators=np.zeros(count, np.float32),
        distributions=np.zeros(count, bool),
        digests=rows.astype(np.uint64),
        contents=rows.astype(np.uint64),
        logits=None,
        width=CLASSES,
        bad=bad,
    )
