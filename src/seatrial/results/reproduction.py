"""Does the reference engine reproduce the accuracy that was published for its weights, before engines are compared?"""

from dataclasses import dataclass
from typing import Literal

from seatrial.metrics.intervals import exact_bounds
from seatrial.recipes.schema import Recipe

NARROW = 0.01
"""Half the interval; a wider one holds so many figures that agreeing with one says little."""
ROUNDING = 5e-5
"""Of a share that is printed as per cent with two digits."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The finding, and why in a sentence."""

    outcome: Literal["reproduces", "does not reproduce", "cannot tell"]
    reason: str


def judge_reproduction(recipe: Recipe, hits: int, images: int, published_weights: bool | None) -> Reproduction | None:
    """Compare top-1 of the reference engine with the published figure by its exact (Clopper-Pearson) interval.

    Args:
        hits: images whose first class is right.
        published_weights: whether the checkpoint is the card's; None where that is not known.

    Returns:
        None where no accuracy was published.
    """
    if recipe.reference is None:
        return None
    published, size = recipe.reference.top1, recipe.reference.size
    low, high = exact_bounds(hits, images, 0.975)  # on each side, so 95 % in all
    found = f"{hits / images:.2%} of {images:,} images ({low:.2%} to {high:.2%} with 95% confidence)"
    if published_weights is False:
        return Reproduction("cannot tell", "the checkpoint is not the published file")
    if size is not None and size != recipe.input_size[0]:
        return Reproduction(
            "cannot tell",
            f"{published:.2%} was published for images of {size}, and this run has {recipe.input_size[0]}",
        )
    if published_weights is None and not low - ROUNDING <= published <= high + ROUNDING:
        return Reproduction(
            "cannot tell",
            f"{found}, published {published:.2%}: it is not known whether the checkpoint is the published file",
        )
    if not low - ROUNDING <= published <= high + ROUNDING:
        return Reproduction("does not reproduce", f"{found}, published {published:.2%}")
    if (high - low) / 2 > NARROW:
        return Reproduction("cannot tell", f"{found}, published {published:.2%}: too few images to say more")
    return Reproduction("reproduces", f"{found}, published {published:.2%}")
