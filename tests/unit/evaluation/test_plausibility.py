"""Predictions that cannot be believed are said to be so, with figures; sound ones are not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta, binomtest

from fake_engine import make_recipe
from seatrial.data.images import LabelledImage
from seatrial.evaluation.ledger import Tally
from seatrial.evaluation.plausibility import (
    Seen,
    find_published,
    find_repeats,
    find_suspicions,
    is_far_below,
    judge_tally,
    suspect_changes,
)
from seatrial.evaluation.reference import compare_first_classes
from seatrial.evaluation.statistics import Paired, gain_p
from seatrial.metrics.intervals import exact_bounds
from seatrial.recipes import load_recipe


def see(labels: np.ndarray, answers: np.ndarray, classes: int = 10, **more: object) -> Seen:
    return Seen([f"image_{row}" for row in range(len(labels))], labels, answers, classes, **more)  # type: ignore[arg-type]


def list_kinds(seen: Seen) -> list[str]:
    return [suspicion.kind for suspicion in find_suspicions(seen)]


def draw(images: int, classes: int, accuracy: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and first classes of a network that is right in this share of cases, else in none."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    wrong = (labels + rng.integers(1, classes, images)) % classes
    return labels, np.where(rng.uniform(size=images) < accuracy, labels, wrong)


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (1, 10), (10, 10), (73, 100), (38065, 50000)])
def test_exact_bounds_are_clopper_and_pearsons(hits: int, count: int) -> None:
    expected = binomtest(hits, count).proportion_ci(0.9, "exact")
    assert exact_bounds(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-12)
    if hits:
        assert exact_bounds(hits, count)[0] == pytest.approx(beta.ppf(0.05, hits, count - hits + 1), abs=1e-12)


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (0, 10), (3, 12), (12, 3)])
def test_a_gain_is_tested_exactly(lost: int, gained: int) -> None:
    expected = binomtest(gained, lost + gained, alternative="greater").pvalue if lost + gained else 1.0
    assert gain_p(lost, gained) == pytest.approx(expected)


def test_no_accuracy_above_chance_proves_nothing() -> None:
    labels = np.arange(1000)
    answers = np.full(1000, 3)
    (found,) = find_suspicions(see(labels, answers, 1000))
    assert found.kind == "at chance" and "seatrial diagnose RUN" in found.fix
    assert found.reason.startswith(
        "top-1 of 0.10% is not above chance: of 1000 images 1 are right, so it is at least 0.01% with 95% confidence, "
        "and always naming the most frequent class is right for 0.10%"
    )


@pytest.mark.parametrize(
    ("right", "images", "plausible"),
    [(5, 10, True), (3, 10, False), (10, 10, True), (1, 1, False), (13, 24, True), (8, 24, False)],
)
def test_the_bound_is_held_against_the_largest_class(right: int, images: int, plausible: bool) -> None:
    labels = np.arange(images) % 4 if images > 10 else np.arange(images) % 5
    answers = np.where(np.arange(images) < right, labels, (labels + 1 + np.arange(images) % 3) % 5)
    assert ("at chance" not in list_kinds(see(labels, answers))) is plausible


def test_a_class_that_is_most_of_the_set_is_what_chance_hits() -> None:
    labels = np.where(np.arange(200) < 180, 0, 1)
    assert list_kinds(see(labels, np.zeros(200, int), 2)) == ["at chance"]
    assert list_kinds(see(labels, labels, 2)) == []


@pytest.mark.parametrize(
    ("accuracy", "kinds"), [(0.76, []), (0.74, []), (0.715, []), (0.69, ["far below"]), (0.3, ["far below"])]
)
def test_far_below_what_was_published(accuracy: float, kinds: list[str]) -> None:
    labels = np.arange(5000) % 1000
    answers = np.where(np.arange(5000) // 1000 * 1000 + np.arange(5000) % 1000 < 5000 * accuracy, labels, 0)
    assert list_kinds(see(labels, answers, 1000, published=0.7613)) == kinds
    assert list_kinds(see(labels, answers, 1000)) == []


def test_a_figure_for_images_of_another_size_is_not_held_against_these() -> None:
    recipe = load_recipe("resnet50")
    assert recipe.reference is not None and find_published(recipe, own=False) == recipe.reference.top1
    assert find_published(recipe, own=True) is None
    larger = recipe.model_copy(update={"reference": recipe.reference.model_copy(update={"size": 288})})
    assert find_published(larger, own=False) is None


@pytest.mark.parametrize("own", [False, True])
def test_weights_that_are_not_the_published_ones_are_doubted_only(own: bool) -> None:
    images = [LabelledImage(f"{i}.png", Path(f"{i}.png"), i % 100) for i in range(1000)]
    classes = np.array([[image.label if i < 500 else 0] for i, image in enumerate(images)], np.int32)
    tally = Tally(np.ones(1000, bool), classes=classes, width=100)
    recipe = make_recipe(reference={"top1": 0.7613, "source": "here"})
    belief = judge_tally(images, tally, recipe, None, is_fake=False, own=own)
    assert [suspicion.kind for suspicion in belief.suspicions] == ([] if own else ["far below"])
    told = "under the 76.13% that the card names, whose weights these are not"
    assert [doubt.endswith(told) for doubt in belief.doubts] == [True] * own


def test_far_below_asks_for_certainty() -> None:
    assert not is_far_below(13, 20, 0.7613)
    assert is_far_below(650, 1000, 0.7613)
    assert not is_far_below(0, 1000, None)


def test_labels_off_by_one_say_so() -> None:
    labels, answers = draw(200, 10, 0.9)
    found = find_suspicions(see((labels + 1) % 10, answers))
    assert [suspicion.kind for suspicion in found] == ["label order", "at chance"]
    assert "is the label minus 1 for" in found[0].reason and "seatrial data check" in found[0].fix


@pytest.mark.parametrize(
    ("both", "lost", "gained", "wrong", "suspected"),
    [
        (300, 10, 60, 142, True),
        (60, 2, 10, 28, False),  # p is 0.02
        (300, 15, 36, 161, False),  # 4 points
        (300, 60, 10, 142, False),
        (0, 0, 0, 0, False),
    ],
)
def test_swapped_channels_must_explain_surely_more(
    both: int, lost: int, gained: int, wrong: int, suspected: bool
) -> None:
    labels, answers = draw(512, 10, 0.7)
    seen = see(labels, answers, swapped=Paired(both, lost, gained, wrong))
    assert list_kinds(seen) == (["channels"] if suspected else [])
    if suspected:
        assert "swapped 360 of 512 images are right, as they are given only 310" in find_suspicions(seen)[0].reason


def test_equal_images_with_different_labels() -> None:
    labels, answers = draw(30, 10, 1.0)
    one = np.full(30, 7, np.uint64)
    found = find_suspicions(see(labels % 4, answers % 4, contents=one))
    assert [suspicion.kind for suspicion in found] == ["contradicting labels", "repeated images"]
    assert found[0].reason == (
        "30 of 30 images are equal to another that has another label, first image_0 (0) and image_1 (1)"
    )
    assert found[1].reason.startswith("of 30 images only 1 are different")


def test_a_few_equal_images_are_reported_and_withhold_nothing() -> None:
    labels, answers = draw(5000, 10, 0.9)
    contents = np.arange(5000, dtype=np.uint64)
    contents[10:12] = 9
    seen = see(labels, answers, contents=contents)
    assert list_kinds(seen) == []
    assert tuple(find_repeats(seen)) == (
        "3 of 5000 images are equal to another that has another label, first image_9 (9) and image_10 (0)",
    )
    contents[1000:1100] = contents[2000:2100]
    assert tuple(find_repeats(see(labels, answers, contents=contents)))[1].startswith(
        "102 of 5000 images repeat another"
    )
    assert not [*find_repeats(replace(seen, contents=None)), *find_repeats(see(labels, answers))]


def test_different_images_say_nothing() -> None:
    labels, answers = draw(500, 10, 0.9)
    seen = see(labels, answers, contents=np.arange(500, dtype=np.uint64))
    assert find_suspicions(seen) == () and not list(find_repeats(seen))


@pytest.mark.parametrize(("changed", "suspected"), [(250, True), (223, True), (205, False), (100, False)])
def test_a_quarter_of_other_predictions_is_another_network(changed: int, suspected: bool) -> None:
    labels = np.zeros(1000, int)
    reference = np.where(np.arange(1000) < 500, 0, 1)
    answers = np.where(np.arange(1000) >= 1000 - changed, 2, reference)
    versus = compare_first_classes(reference, answers, labels, "torch")
    found = suspect_changes(versus)
    assert (found is not None) is suspected
    if changed == 250 and found is not None:
        assert "250 of 1000 first classes (25.0%) differ from those of torch, at least 22.8%" in found.reason
    assert suspect_changes(versus.model_copy(update={"other_weights": True})) is None


def test_a_sound_network_is_believed() -> None:
    """500 sets of 24 to 2,000 images, a top-1 between 60 % and 99 %: less than one in a hundred is doubted."""
    rng = np.random.default_rng(6)
    doubted = 0
    for seed in range(500):
        images, classes = int(rng.choice([24, 100, 500, 2000])), int(rng.choice([10, 100, 1000]))
        accuracy = rng.uniform(0.6, 0.99)
        labels, answers = draw(images, classes, accuracy, seed)
        doubted += bool(find_suspicions(see(labels, answers, classes, published=accuracy)))
    assert doubted <= 4
