"""The published accuracy against what the reference engine reaches on the images at hand."""

import pytest

from seatrial.recipes import load_recipe
from seatrial.recipes.schema import Recipe
from seatrial.results.reproduction import judge_reproduction


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("resnet50")  # 76.13 % published


@pytest.mark.parametrize(
    ("hits", "images", "outcome"),
    [
        (38_065, 50_000, "reproduces"),  # 76.13 %
        (37_900, 50_000, "reproduces"),  # 75.80 % ± 0.38
        (37_600, 50_000, "does not reproduce"),  # 75.20 % ± 0.38
        (38_600, 50_000, "does not reproduce"),  # better is another figure too
        (76, 100, "cannot tell"),  # 76 % ± 9: anything
        (20, 100, "does not reproduce"),
        (5, 5, "cannot tell"),
    ],
)
def test_by_the_exact_interval(recipe: Recipe, hits: int, images: int, outcome: str) -> None:
    found = judge_reproduction(recipe, hits, images, True)
    assert found is not None and found.outcome == outcome
    assert "published 76.13%" in found.reason


def test_a_figure_of_another_size_or_other_weights_is_not_compared(recipe: Recipe) -> None:
    assert recipe.reference is not None
    larger = recipe.model_copy(update={"reference": recipe.reference.model_copy(update={"size": 288})})
    found = judge_reproduction(larger, 38_065, 50_000, None)
    assert found is not None and (found.outcome, found.reason) == (
        "cannot tell",
        "76.13% was published for images of 288, and this run has 224",
    )
    other = judge_reproduction(recipe, 38_065, 50_000, False)
    assert other is not None and other.outcome == "cannot tell" and "not the published file" in other.reason
    assert judge_reproduction(recipe.model_copy(update={"reference": None}), 1, 2, True) is None
