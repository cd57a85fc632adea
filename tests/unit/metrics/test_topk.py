import math

import numpy as np
import pytest

from seatrial.metrics.topk import TopK, rank_top


def test_the_best_classes_come_first_with_their_scores() -> None:
    logits = np.array([[0.1, 0.9, -3, 0.5, 0.2, 0.3], [6, 5, 4, 3, 2, 1]], dtype=np.float32)
    classes, scores = rank_top(logits)
    assert classes.tolist() == [[1, 3, 5, 4, 0], [0, 1, 2, 3, 4]]
    np.testing.assert_array_equal(scores, np.take_along_axis(logits, classes, axis=1))
    assert (classes.dtype, scores.dtype) == (np.int32, np.float32)


def test_of_equal_scores_the_lower_class_comes_first() -> None:
    logits = np.zeros((1, 1000), dtype=np.float32)
    logits[0, [700, 3, 41]] = 1
    assert rank_top(logits)[0].tolist() == [[3, 41, 700, 0, 1]]


def test_few_classes_give_few_ranks() -> None:
    classes, scores = rank_top(np.array([[1.0, 3.0, 2.0]]), k=5)
    assert classes.tolist() == [[1, 2, 0]]
    assert scores.tolist() == [[3, 2, 1]]


def test_half_precision_is_ranked_as_it_is() -> None:
    assert rank_top(np.array([[-65504, 65504, 0]], dtype=np.float16), k=2)[0].tolist() == [[1, 2]]


def test_hits_count_the_label_among_the_first() -> None:
    classes = np.array([[3, 1, 0], [0, 1, 2], [2, 0, 1], [4, 5, 6]])
    found = TopK.of(classes, np.array([3, 2, 0, 9]))
    assert found == TopK((1, 2, 3), 4)
    assert [found.accuracy(k) for k in (1, 2, 3, 5)] == [0.25, 0.5, 0.75, 0.75]


def test_parts_counted_apart_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(3)
    logits, labels = rng.standard_normal((97, 20)), rng.integers(0, 20, 97)
    classes, _ = rank_top(logits)
    whole = TopK.of(classes, labels)
    parts = [TopK.of(classes[i : i + 10], labels[i : i + 10]) for i in range(0, 97, 10)]
    assert sum(parts[1:], parts[0]) == whole
    ranks = (logits > logits[np.arange(97), labels][:, None]).sum(axis=1)
    assert whole.hits == tuple(int((ranks < k).sum()) for k in range(1, 6))


def test_counts_of_other_depths_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="shorter"):
        TopK((1, 2, 3, 4, 5), 9) + TopK((1, 2, 3), 9)


def test_no_images_have_no_accuracy() -> None:
    assert math.isnan(TopK.of(np.empty((0, 5), dtype=np.int32), np.empty(0, dtype=np.int32)).accuracy())


def test_ranks_are_those_of_a_stable_sort() -> None:
    rng = np.random.default_rng(2)
    for logits in (rng.standard_normal((30, 1000)), rng.integers(-2, 3, (30, 40)), np.zeros((0, 9))):
        expected = np.argsort(-logits, axis=1, kind="stable")[:, :5]
        np.testing.assert_array_equal(rank_top(logits.astype(np.float32))[0], expected)
