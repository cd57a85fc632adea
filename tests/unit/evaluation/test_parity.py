import math

import numpy as np
import pytest

from seatrial.errors import ParityError
from seatrial.evaluation.parity import Variety, check_logits, check_parity, measure_parity
from seatrial.store.records import StepParity


def test_parity_is_measured_in_closed_form() -> None:
    reference = np.array([[3.0, 0.0], [0.0, 4.0]], dtype=np.float32)
    logits = np.array([[3.0, 0.5], [4.5, 4.0]], dtype=np.float32)
    found = measure_parity("export", reference, logits)
    assert (found.step, found.images, found.top1_disagreements, found.largest_error) == ("export", 2, 1, 4.5)
    assert found.relative_error == pytest.approx(math.sqrt(0.25 + 20.25) / 5)


def test_equal_logits_do_not_differ() -> None:
    logits = np.random.default_rng(0).standard_normal((5, 9))
    found = measure_parity("simplify", logits, logits.copy())
    assert (found.relative_error, found.largest_error, found.top1_disagreements) == (0, 0, 0)
    assert measure_parity("simplify", np.zeros((1, 3)), np.zeros((1, 3))).relative_error == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_has_no_distance(value: float) -> None:
    logits = np.array([[1.0, 2.0], [value, 1.0]])
    with pytest.raises(ParityError, match="after 'simplify' the graph answers NaN or infinity"):
        measure_parity("simplify", np.ones((2, 2)), logits)


@pytest.mark.parametrize(("images", "differing", "refused"), [(200, 1, False), (199, 1, True), (16, 0, False)])
def test_half_a_percent_of_the_answers_may_change(images: int, differing: int, refused: bool) -> None:
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
    with pytest.raises(ParityError, match=r"answers NaN or infinity, first for b\.png$"):
        check_logits(logits, NAMES)


def test_the_same_score_for_every_class_is_named() -> None:
    logits = GOOD.copy()
    logits[2] = 7
    with pytest.raises(ParityError, match=r"every class the same score, first for c\.png$"):
        check_logits(logits, NAMES)


def test_one_answer_to_images_that_differ_is_refused() -> None:
    images = np.arange(4).reshape(4, 1)
    variety = Variety()
    variety.see(images[:1], GOOD[:1])
    variety.check()
    variety.see(images[1:], GOOD[[0, 0, 0]])
    with pytest.raises(ParityError, match="gives 4 images the same answer, though they differ"):
        variety.check()
    variety.see(images[:1], GOOD[1:2])
    variety.check()


def test_copies_of_an_image_may_get_one_answer() -> None:
    variety = Variety()
    variety.see(np.zeros((3, 5)), GOOD[[0, 0, 0]])
    variety.see(np.zeros((2, 5)), GOOD[[0, 0]])
    variety.check()
