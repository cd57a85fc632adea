"""What counts as noise, in closed form."""

import math

import numpy as np
import pytest

from seatrial.engines.base import PRECISIONS
from seatrial.errors import ParityError
from seatrial.evaluation.compare_logits import (
    PER_IMAGE,
    compare_logits,
    count_chance_flips,
    find_excess,
)
from seatrial.metrics.noise_floor import FLOORS, MANTISSA_BITS, ROUNDINGS, SAME_INT8

NAMES = [f"image {i}" for i in range(100)]
DECIDED = np.tile([[3.0, 0.0, 0.0, -4.0]], (100, 1))
"""Norm 5, gap 3."""
LAST = np.eye(4)[3]


def test_a_distance_is_relative_and_names_the_worst_image() -> None:
    moved = DECIDED.copy()
    moved[7] += [0, 0.3, 0, 0.4]
    found = compare_logits(DECIDED, moved, NAMES, 1.0).distance
    assert found.worst_image == "image 7" and found.flips == 0
    assert found.worst_image_error == pytest.approx(0.5 / 5)
    assert found.relative_error == pytest.approx(0.5 / 50)
    assert found.largest_error == pytest.approx(0.4)


def test_the_norms_are_those_of_the_reference() -> None:
    assert compare_logits(DECIDED, DECIDED * 3, NAMES, 1.0).distance.relative_error == pytest.approx(2)
    assert compare_logits(np.zeros((2, 3)), np.zeros((2, 3)), NAMES, 1.0).distance.relative_error == 0


def test_chance_flips_nothing_where_the_gap_is_wide() -> None:
    assert count_chance_flips(DECIDED, 1e-3) == 0
    assert count_chance_flips(np.zeros((4, 2)), 0.0) > 0, "of equal scores either may come first"


def test_chance_flips_follow_the_normal_distribution() -> None:
    # Two classes, gap 1, norm 1: noise of size 1 moves the difference by 1, so Φ(-1) of the images flip.
    chance = 0.15865525
    expected = 100 * chance + 3 * math.sqrt(100 * chance * (1 - chance))
    assert count_chance_flips(np.tile([[1.0, 0.0]], (100, 1)), 1.0) == math.floor(expected)


@pytest.mark.parametrize(
    ("moved", "floor", "words"),
    [
        (DECIDED + LAST * 0.04, 1e-2, None),
        (DECIDED + LAST * 0.06, 1e-2, "relative error 1.2e-02 above the floor of 1.0e-02"),
        (
            np.where(np.arange(100)[:, None] == 42, DECIDED + LAST * 0.45, DECIDED),
            1e-2,
            "relative error 9.0e-02 on image 42, more than 5 times the floor of 1.0e-02",
        ),
    ],
)
def test_more_than_noise_is_reported(moved: np.ndarray, floor: float, words: str | None) -> None:
    assert compare_logits(DECIDED, moved, NAMES, floor).excess == words


def test_flips_that_noise_does_not_explain_are_reported() -> None:
    # All of the noise that the floor allows, but always in favour of one class: each gap of 0.1 closes.
    reference = np.tile([[1.0, 0.9] + [0.0] * 98], (100, 1))
    moved = reference + np.eye(100)[1] * 0.11
    held = compare_logits(reference, moved, NAMES, 0.1)
    assert held.distance.relative_error < 0.1 and held.distance.flips == 100
    assert held.excess is not None and held.excess.startswith("100 other first classes, where noise at the floor")
    assert held.chance_flips < 100
    assert find_excess(held.distance, 0.1, 100) is None


def test_what_is_no_number_has_no_distance() -> None:
    with pytest.raises(ParityError, match="NaN"):
        compare_logits(DECIDED, DECIDED * np.nan, NAMES, 0.1)


def test_coarser_steps_may_move_further() -> None:
    assert FLOORS["fp32"].relative_error < SAME_INT8.relative_error < FLOORS["int8"].relative_error
    assert not FLOORS.keys() & MANTISSA_BITS.keys() and FLOORS.keys() | MANTISSA_BITS.keys() == set(PRECISIONS)
    assert PER_IMAGE > 1 and ROUNDINGS > 1
