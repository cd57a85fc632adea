"""The performance tables of the guides, worked out again from their raw figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from seatrial.recipes.claims import (
    BEST,
    Claim,
    GuideColumn,
    check_claims,
    count_digits,
    divide,
    read_column,
    round_half_up,
)
from seatrial.recipes.schema import Ratio, Recipe

_FINDINGS = ("arithmetic", "rounding", "inherited", "threshold", "scope")
"""Kinds of claims that are about the table."""


@dataclass(frozen=True, slots=True)
class GuideRatio:
    """One device over another, by batch size and `best`."""

    of: str
    to: str
    digits: int
    """That the guide prints."""
    printed: Mapping[str, str]
    exact: Mapping[str, Decimal]
    """Of the printed columns."""
    right: Mapping[str, Decimal]
    """Of whole cards and of figures that are right themselves."""
    wrong: frozenset[str]
    """Where the guide printed another figure than `right`, rounded half up to as many digits."""


@dataclass(frozen=True, slots=True)
class GuideTable:
    """The performance table of one guide."""

    recipe: str
    title: str
    batches: tuple[str, ...]
    """The last one is `best`."""
    columns: tuple[GuideColumn, ...]
    ratios: tuple[GuideRatio, ...]
    findings: tuple[Claim, ...]
    """What the guide got wrong in it, or left out."""


def rebuild_table(recipe: Recipe) -> GuideTable | None:
    """The table of a card's guide; None where the guide prints no ratios."""
    if recipe.guide is None or not recipe.guide.ratios:
        return None
    named = {name for ratio in recipe.guide.ratios for name in (ratio.of, ratio.to)}
    columns = {column.label: read_column(recipe.name, column) for column in recipe.published if column.label in named}
    batches = sorted({batch for column in columns.values() for batch in column.printed if batch != BEST}, key=int)
    return GuideTable(
        recipe=recipe.name,
        title=recipe.guide.title,
        batches=(*batches, BEST),
        columns=tuple(columns.values()),
        ratios=tuple(_rebuild_ratio(ratio, columns[ratio.of], columns[ratio.to]) for ratio in recipe.guide.ratios),
        findings=tuple(claim for claim in check_claims(recipe) if not claim.holds and claim.kind in _FINDINGS),
    )


def _rebuild_ratio(ratio: Ratio, of: GuideColumn, to: GuideColumn) -> GuideRatio:
    exact, right = divide(of.printed, to.printed), divide(of.per_card, to.per_card)
    wrong = {
        batch
        for batch, printed in ratio.stated.items()
        if Decimal(printed) != round_half_up(right[batch], count_digits(printed))
    }
    digits = max(map(count_digits, ratio.stated.values()), default=3)
    return GuideRatio(ratio.of, ratio.to, digits, ratio.stated, exact, right, frozenset(wrong))
