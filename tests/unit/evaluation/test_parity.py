import math

import numpy as np
import pytest

from seatrial.errors import ParityError
from seatrial.evaluation.parity import Variety, check_logits, check_parity, fit_labels, measure_parity
from seatrial.store.records import StepParity


def test_parity_is_measured_in_closed_form() -> None:
    reference = np.array([[3.0, 0.0], [0.0, 4.0]], dtype=np.float32)
    logits = np.array([[3.0, 0.5], [4.5, 4.0]], dtype=np.float32)
    found = measure_parity("export", reference, logits)
    assert (found.step, found.images, found.top1_disagreements, found.largest_error) == ("export", 2, 1, 4.5)
    assert found.relative_error == pytest.approx(math.sqrt(0.25 + 20.25) / 5)


def test_logits_whose_squares_are_infinite_in_32_bits_have_a_distance() -> None:
    reference = np.array([[2e28, 1e28]], np.float32)
    found = measure_parity("export", reference, (0.5 * reference).astype(np.float32))
    assert found.relative_error == pytest.approx(0.5)


def test_equal_logits_do_not_differ() -> None:
    logits = np.random.default_rng(0).standard_normal((5, 9))
    found = measure_parity("simplify", logits, logits.copy())
    assert (found.relative_error, found.largest_error, found.top1_disagreements) == (0, 0, 0)
    assert measure_parity("simplify", np.zeros((1, 3)), np.zeros((1, 3))).relative_error == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_has_no_distance(value: float) -> None:
    logits = np.array([[1.0, 2.0], [value, 1.0]])
    with pytest.raises(ParityError, match="after 'simplify' the graph gives NaN or infinity"):
        measure_parity("simplify", np.ones((2, 2)), logits)


@pytest.mark.parametrize(("images", "differing", "refused"), [(200, 1, False), (199, 1, True), (16, 0, False)])
def test_half_a_percent_of_the_predictions_may_change(images: int, differing: int, refused: bool) -> None:
    parity = StepParity(
        step="half", images=images, relative_error=0.01234, largest_error=1, top1_disagreements=differing
    )
    if not refused:
        check_parity(parity)
        return
    with pytest.raises(ParityError, match=r"after 'half' 1 of 199 images get another first class \(.* 1.2e-02\)"):
        check_parity(parity)


GOOD = np.array([[1.0, 2.0], [2.0, 1.0], [1.5, 2.0]])
NAMES = ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_named(value: float) -> None:
    check_logits(GOOD, NAMES)
    logits = GOOD.copy()
    logits[1:, 1] = value
    with pytest.raises(ParityError, match=r"gives NaN or infinity, first for b\.png;"):
        check_logits(logits, NAMES)


def test_the_same_score_for_every_class_is_named() -> None:
    logits = GOOD.copy()
    logits[2] = 7
    with pytest.raises(ParityError, match=r"every class the same score, first for c\.png;"):
        check_logits(logits, NAMES)


def test_one_prediction_to_images_that_differ_is_refused() -> None:
    images = np.arange(4).reshape(4, 1)
    variety = Variety()
    variety.see(images[:1], GOOD[:1])
    variety.check()
    variety.see(images[1:], GOOD[[0, 0, 0]])
    with pytest.raises(ParityError, match="gives 4 images the same logits, though they differ"):
        variety.check()
    variety.see(images[:1], GOOD[1:2])
    variety.check()


def test_copies_of_an_image_may_get_one_prediction() -> None:
    variety = Variety()
    variety.see(np.zeros((3, 5)), GOOD[[0, 0, 0]])
    variety.see(np.zeros((2, 5)), GOOD[[0, 0]])
    variety.check()


IMAGES = 1200


def round_two_classes(seed: int, step: float, images: int = IMAGES) -> np.ndarray:
    """Logits (n, 2) of a network whose margins are normal, rounded to int8 with one step; labels are `row % 2`."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(2.0, 1.0, images) * np.where(np.arange(images) % 2, -1, 1)
    return (np.round(np.stack([margin, -margin], axis=1) / 2 / step).clip(-128, 127) * step).astype(np.float32)


@pytest.mark.parametrize("step", [0.05, 0.2, 1.0])
def test_a_few_ties_of_rounded_scores_are_chance(step: float) -> None:
    names = [str(row) for row in range(IMAGES)]
    for seed in range(20):
        logits = round_two_classes(seed, step)
        assert (logits[:, 0] == logits[:, 1]).any()
        check_logits(logits, names, coarse=True)
        with pytest.raises(ParityError, match="every class the same score"):
            check_logits(logits, names)


@pytest.mark.parametrize("lost", [32, 1200])
def test_more_ties_than_its_neighbours_explain_are_a_dead_engine(lost: int) -> None:
    logits = round_two_classes(0, 0.05)
    logits[:lost] = 0
    with pytest.raises(ParityError, match=r"every class the same score, first for 0 \(\d+ of 1200"):
        check_logits(logits, [str(row) for row in range(IMAGES)], coarse=True)


def digest(logits: np.ndarray) -> np.ndarray:
    return np.unique(logits, axis=0, return_inverse=True)[1].astype(np.uint64)


def test_repeated_logits_of_a_sound_engine_fit_the_labels() -> None:
    labels = (np.arange(IMAGES) % 2).astype(np.int32)
    for step in (0.05, 1.0):
        logits = round_two_classes(3, step)
        first = logits.argmax(axis=1).astype(np.int32)
        assert fit_labels(digest(logits), first, labels)
        # Labels that are swapped throughout do not make the engine a broken one, and those of chance prove nothing.
        assert fit_labels(digest(logits), first, 1 - labels)
        assert not fit_labels(digest(logits), first, np.random.default_rng(0).permutation(labels))


@pytest.mark.parametrize("kind", ["constant", "stuck", "late", "cached"])
def test_repeated_logits_of_a_broken_engine_do_not(kind: str) -> None:
    rng, labels = np.random.default_rng(5), (np.arange(IMAGES) % 4).astype(np.int32)
    logits = rng.normal(size=(IMAGES, 4)).astype(np.float32)
    logits[np.arange(IMAGES), labels] += 9
    source = {
        "constant": np.zeros(IMAGES, int),
        "stuck": np.minimum(np.arange(IMAGES), 800),
        "late": np.maximum(np.arange(IMAGES) - 64, np.arange(IMAGES) % 64),
        "cached": rng.integers(0, 50, IMAGES),
    }[kind]
    # Classes shuffled, so that the images of a batch are not those of the batch before in another order.
    order = rng.permutation(IMAGES)
    labels, logits = labels[order], logits[order][source]
    assert not fit_labels(digest(logits), logits.argmax(axis=1).astype(np.int32), labels)
