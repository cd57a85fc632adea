"""Flips are ranked by what they mean, and by how sure the engine is."""

from dataclasses import replace

import numpy as np
import pytest

from seatrial.store.flips import list_flips, sort_flips
from seatrial.store.predictions import Predictions


def predict(labels: list[int], firsts: list[int], margins: list[float]) -> Predictions:
    """Predictions of images 00, 01, … of three classes; the second class has a score of 0, the third −∞ as good as."""
    first, best = np.array(firsts, np.int32), np.array(margins, np.float32)
    return Predictions(
        tuple(f"{row:02d}" for row in range(len(labels))),
        np.array(labels, np.int32),
        np.stack([first, (first + 1) % 3], axis=1),
        np.stack([best, 0 * best], axis=1),
        np.log1p(np.exp(best)).astype(np.float32),
    )


LABELS = [0, 0, 0, 1, 1, 2, 2]
BEFORE = predict(LABELS, [0, 0, 0, 0, 0, 2, 2], [1.0] * 7)
AFTER = predict(LABELS, [1, 1, 0, 1, 2, 2, 0], [1.0, 3.0, 9.0, 8.0, 5.0, 9.0, 2.0])


def sigmoid(margin: float) -> float:
    return 1 / (1 + np.exp(-margin))


def test_confident_and_now_wrong_comes_first() -> None:
    found = list_flips(BEFORE, AFTER)
    assert [(flip.image, flip.kind) for flip in found] == [
        *(("01", "lost"), ("06", "lost"), ("00", "lost")),
        *(("04", "wrong in both"), ("03", "gained")),
    ]
    surest = found[0]
    assert (surest.label, surest.reference, surest.predicted, surest.margin) == (0, 0, 1, 3.0)
    assert surest.confidence == pytest.approx(sigmoid(3.0), abs=1e-6)
    assert surest.reference_confidence == pytest.approx(sigmoid(1.0), abs=1e-6)
    assert surest.thumbnail == surest.data_uri == ""


def test_margins_rank_where_confidences_are_not_stored() -> None:
    bare = [replace(each, log_denominators=None) for each in (BEFORE, AFTER)]
    found = list_flips(*bare)
    assert [flip.image for flip in found] == ["01", "06", "00", "04", "03"]
    assert {(flip.confidence, flip.reference_confidence) for flip in found} == {(None, None)}


def test_without_labels_nobody_knows_what_a_flip_means() -> None:
    found = list_flips(replace(BEFORE, labels=None), replace(AFTER, labels=None))
    assert [flip.image for flip in found] == ["03", "04", "01", "06", "00"]
    assert {(flip.kind, flip.label) for flip in found} == {("not known", None)}


def test_rows_are_sorted_by_what_a_flip_means() -> None:
    rows = sort_flips(BEFORE.classes[:, 0], AFTER.classes[:, 0], AFTER.labels)
    assert {kind: found.tolist() for kind, found in rows.items()} == {
        "lost": [0, 1, 6],
        "gained": [3],
        "wrong in both": [4],
    }
    assert next(iter(rows)) == "lost"
