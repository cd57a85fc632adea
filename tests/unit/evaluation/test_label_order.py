"""Labels that number the classes otherwise than the network are found, and poor networks and few images are not."""

import numpy as np
import pytest

from seatrial.evaluation.label_order import LabelOrder, find_order, is_far_better
from seatrial.evaluation.statistics import Paired

CLASSES = 100
TRUE = np.arange(CLASSES).repeat(20)


def answer(labels: np.ndarray, accuracy: float, classes: int, seed: int = 1) -> np.ndarray:
    """First classes of a network that is right in this share of cases, else anywhere."""
    rng = np.random.default_rng(seed)
    return np.where(rng.uniform(size=len(labels)) < accuracy, labels, rng.integers(0, classes, len(labels)))


@pytest.mark.parametrize("accuracy", [0.0, 0.05, 0.3, 0.77, 1.0])
def test_right_labels_are_not_doubted(accuracy: float) -> None:
    assert find_order(answer(TRUE, accuracy, CLASSES), TRUE, CLASSES) is None


@pytest.mark.parametrize("accuracy", [0.15, 0.77, 1.0])
@pytest.mark.parametrize(("shift", "fix"), [(1, "count from 1: subtract 1"), (-1, "labels' first: add 1")])
@pytest.mark.parametrize("wraps", [True, False])
def test_labels_off_by_one_are_found(accuracy: float, shift: int, fix: str, wraps: bool) -> None:
    labels = (TRUE + shift) % CLASSES if wraps else TRUE + shift
    found = find_order(answer(TRUE, accuracy, CLASSES), labels, CLASSES)
    assert found is not None and found.text.endswith(fix)


@pytest.mark.parametrize("accuracy", [0.3, 0.77, 1.0])
def test_labels_in_another_order_are_found(accuracy: float) -> None:
    other = np.random.default_rng(2).permutation(CLASSES)
    found = find_order(answer(TRUE, accuracy, CLASSES), other[TRUE], CLASSES)
    assert found is not None and "another order" in found.text
    first = int(np.flatnonzero(other == 0)[0])
    assert found.examples[0].startswith(f"label 0 is predicted as class {first} (")


def test_examples_name_the_classes() -> None:
    other = np.random.default_rng(2).permutation(CLASSES)
    names = [f"name {place}\n" for place in range(CLASSES)]
    found = find_order(answer(TRUE, 0.9, CLASSES), other[TRUE], CLASSES, names)
    first = int(np.flatnonzero(other == 0)[0])
    assert found is not None
    assert found.examples[0].startswith(f"label 0 name 0 is predicted as class {first} name {first} (")


def number_texts(classes: int, first: int) -> np.ndarray:
    """What a folder named by each number becomes where folders are sorted as text."""
    names = sorted(str(number) for number in range(first, classes + first))
    return np.array([names.index(str(number)) for number in range(first, classes + first)])


@pytest.mark.parametrize("first", [0, 1])
def test_folders_sorted_as_text_are_found_and_named_with_one_image_of_each_class(first: int) -> None:
    numbers, places = np.arange(1000), number_texts(1000, first)
    answers = answer(numbers, 0.5, 1000)
    by_place = find_order(answers, places, 1000)
    assert by_place is not None and by_place.fix.startswith("the labels number them as they are sorted as text")
    trained_so = find_order(places[answers], numbers, 1000)
    assert trained_so is not None and trained_so.fix.startswith("the network numbers them as they are sorted as text")


def test_reversed_classes_are_named() -> None:
    found = find_order(answer(TRUE, 0.5, CLASSES), CLASSES - 1 - TRUE, CLASSES)
    assert found is not None and found.what == "the label counted from the last class"


def test_two_classes_that_change_places_are_found() -> None:
    labels = np.array([0, 1] * 20)
    found = find_order(1 - labels, labels, 2)
    assert found is not None
    assert found.examples == (
        "label 0 is predicted as class 1 (20 of 20 images)", "label 1 is predicted as class 0 (20 of 20 images)",
    )  # fmt: skip


def test_two_of_ten_classes_that_change_places_are_found() -> None:
    labels = np.arange(1000) % 10
    swapped = np.array([1, 0, *range(2, 10)])
    found = find_order(answer(labels, 0.95, 10), swapped[labels], 10)
    assert found is not None and len(found.examples) == 2


def test_a_random_permutation_of_ten_classes_is_found_in_200_images() -> None:
    labels = np.arange(200) % 10
    for seed in range(20):
        other = np.random.default_rng(seed).permutation(10)
        moved = int((other != np.arange(10)).sum())
        assert (find_order(answer(labels, 0.7, 10, seed), other[labels], 10) is not None) == (moved > 3)


def test_a_network_that_always_predicts_the_same_is_no_other_order() -> None:
    assert find_order(np.full_like(TRUE, 7), TRUE, CLASSES) is None


def test_one_image_a_class_does_not_vote_for_itself() -> None:
    labels = np.arange(1000)
    assert find_order(np.random.default_rng(3).permutation(1000), labels, 1000) is None


def test_a_poor_network_of_many_classes_is_no_other_order() -> None:
    rng = np.random.default_rng(4)
    for seed in range(50):
        labels = rng.integers(0, 1000, 300)
        assert find_order(answer(labels, 0.05, 1000, seed), labels, 1000) is None


def test_no_predictions_say_nothing() -> None:
    nothing = np.array([], dtype=int)
    assert find_order(nothing, nothing, 10) is None


def draw_poor_network(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """First classes and labels: of any accuracy, with classes it prefers and classes that it takes for others."""
    classes, images = int(rng.choice([2, 3, 4, 10, 100])), int(rng.choice([24, 100, 500, 2000]))
    labels = rng.integers(0, classes, images)
    favourites = rng.dirichlet(np.full(classes, rng.choice([0.1, 1.0, 10.0])))
    wrong = rng.choice(classes, images, p=favourites)
    return np.where(rng.uniform(size=images) < rng.uniform(), labels, wrong), labels, classes


def test_networks_with_favourite_classes_are_hardly_ever_taken_for_another_order() -> None:
    rng = np.random.default_rng(5)
    found: list[LabelOrder] = [o for o in (find_order(*draw_poor_network(rng)) for _ in range(2000)) if o is not None]
    assert len(found) <= 2


@pytest.mark.parametrize(
    ("both", "lost", "gained", "wrong", "is_better"),
    [
        (0, 0, 20, 80, True),  # 0 to 20 %
        (0, 2, 9, 89, False),  # 2 to 9 %: p is 0.03
        (600, 0, 200, 200, True),  # 60 to 80 %: half the errors
        (700, 0, 90, 210, False),  # 9 points, no matter how surely
        (200, 0, 110, 690, False),  # 20 to 31 %: most errors are left
    ],
)
def test_far_better_is_sure_and_much(both: int, lost: int, gained: int, wrong: int, is_better: bool) -> None:
    assert is_far_better(Paired(both, lost, gained, wrong)) is is_better
