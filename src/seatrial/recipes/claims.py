"""Work out again everything a porting guide worked out, from the raw figures on its card: claims, and speed tables."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, localcontext
from typing import Literal

from seatrial.errors import UsageError
from seatrial.metrics.arithmetic import evaluate, parse_arithmetic
from seatrial.recipes.schema import Published, Ratio, Recipe, TrainingRow

Kind = Literal["arithmetic", "rounding", "inherited", "threshold", "scope", "scaling", "accuracy", "text"]
"""What is wrong with a claim that is not right.

A figure: `arithmetic` miscounted, `rounding` cut off instead of rounded, `inherited` right but for a wrong input.
A conclusion: `threshold` missed, `scope` unlike things compared or batches left out, `scaling` better than linear,
`accuracy` missed or of another network. `text` is what no arithmetic can find.
"""
BEST = "best"
"""What a column's best figure is called, beside those by batch size."""
_FINDINGS = ("arithmetic", "rounding", "inherited", "threshold", "scope")
"""Kinds of claims that are about the table."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that a guide says, and what comes out when it is worked out again."""

    recipe: str
    what: str
    stated: str
    correct: str
    kind: Kind
    holds: bool
    note: str = ""

    @property
    def recomputed(self) -> bool:
        """Whether arithmetic judged it; the others are errors in the text, as the card lists them."""
        return self.kind != "text"


@dataclass(frozen=True, slots=True)
class GuideColumn:
    """A device's images/s, by batch size and `BEST`."""

    label: str
    scope: str
    chips: int
    """Of a card, where the guide prints what one of several does; else 1."""
    printed: Mapping[str, Decimal]
    right: Mapping[str, Decimal]
    """As printed, with figures that their own derivation contradicts put right."""
    per_card: Mapping[str, Decimal]
    """The right ones, of a whole card."""

    @property
    def of_one_chip(self) -> bool:
        """The guide prints what one of several chips does."""
        return self.chips > 1


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


def read_column(name: str, column: Published) -> GuideColumn:
    """What a column of the card called `name` says, and should say.

    Raises:
        UsageError: a derivation is no arithmetic.
    """
    printed = {batch: Decimal(str(value)) for batch, value in column.images_per_s.items()}
    right = dict(printed)
    for batch, equation in column.derivation.items():
        exact, stated = _work_out(equation, f"{name}: published.{column.label}.derivation")
        if batch in right:
            right[batch] = round_half_up(exact, count_digits(stated))
    chips = column.chips_per_card if column.per == "chip" else 1
    figures = (printed, right, {batch: value * chips for batch, value in right.items()})
    return GuideColumn(
        column.label, column.scope, chips, *({**each, BEST: max(each.values(), default=Decimal())} for each in figures)
    )


def find_scalings(recipe: Recipe) -> list[Claim]:
    """What the training results of a card's guide say of how training scales."""
    return [claim for claim in check_claims(recipe) if claim.kind == "scaling"]


def check_claims(recipe: Recipe) -> tuple[Claim, ...]:
    """Every figure and conclusion of the card's guide, right ones and wrong ones.

    Sums are exact decimals, rounded half up to as many digits as the guide prints.

    Raises:
        UsageError: an equation of the card is no arithmetic.
    """
    with localcontext() as context:
        context.prec = 50
        return tuple(_check_all(recipe))


def _check_all(recipe: Recipe) -> Iterator[Claim]:
    name = recipe.name
    for column in recipe.published:
        yield from _check_column(name, column)
    if recipe.guide is None:
        return
    for what, printed in recipe.guide.sums.items():
        exact, stated = _work_out(printed, f"{name}: guide.sums")
        yield compare_figure(name, f"{what}: {printed}", stated, exact)
    columns = {column.label: read_column(name, column) for column in recipe.published}
    for ratio in recipe.guide.ratios:
        of, to = columns[ratio.of], columns[ratio.to]
        yield from _check_ratio(name, ratio, of, to)
        yield from _check_scopes(name, ratio, of, to)
        yield from _judge_ratio(name, ratio, of, to)
    yield from check_trainings(name, recipe.guide.training)
    yield from _check_accuracy(recipe)
    for erratum in recipe.guide.errata:
        yield Claim(name, "in the text", erratum.text, erratum.correction, "text", holds=False)


def compare_figure(name: str, what: str, stated: str, exact: Decimal) -> Claim:
    """A printed figure beside the exact one, rounded half up to as many digits."""
    correct = round_half_up(exact, count_digits(stated))
    holds = Decimal(stated) == correct
    cut_off = Decimal(stated) == exact.quantize(correct, ROUND_DOWN)
    kind: Kind = "rounding" if cut_off and not holds else "arithmetic"
    note = "truncated, not rounded" if kind == "rounding" else ""
    return Claim(name, what, stated, _show(exact.normalize() if exact == correct else correct), kind, holds, note)


def count_digits(printed: str) -> int:
    """Decimals of a printed figure."""
    return len(printed.partition(".")[2])


def round_half_up(value: Decimal, digits: int) -> Decimal:
    """Rounded as people do, a half upwards."""
    return value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def _show(value: Decimal | float) -> str:
    exact = value if isinstance(value, Decimal) else Decimal(str(value)).normalize()
    return f"{exact:f}"


def _show_percent(fraction: Decimal) -> str:
    return f"{round_half_up(100 * fraction, 3).normalize():f} %"


def _work_out(equation: str, where: str) -> tuple[Decimal, str]:
    """The exact value of an equation's left side, and its right side as printed."""
    left, _, stated = equation.partition(" = ")
    try:
        return evaluate(parse_arithmetic(left), Decimal), stated
    except (ArithmeticError, ValueError, RecursionError):
        raise UsageError(f"{where}: '{left}' is no arithmetic", "write it as in `678.142 * 4 = 2712.568`") from None


def _check_column(name: str, column: Published) -> Iterator[Claim]:
    """How a column's figures were come by, and which of them is the best."""
    figures = read_column(name, column).printed
    for batch, printed in column.derivation.items():
        exact, stated = _work_out(printed, f"{name}: published.{column.label}.derivation")
        yield compare_figure(name, f"{column.label}, batch {batch}: {printed}", stated, exact)
        if batch in figures and figures[batch] != Decimal(stated):
            yield compare_figure(
                name, f"{column.label}, batch {batch}, in the table", _show(column.images_per_s[batch]), exact
            )
    if column.best is not None:
        batch = max(column.images_per_s, key=lambda b: figures[b])
        yield compare_figure(name, f"{column.label}, best (batch {batch})", column.best, figures[batch])


def divide(of: Mapping[str, Decimal], to: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """One column's figures over another's, where both have them."""
    return {batch: figure / to[batch] for batch, figure in of.items() if batch in to}


def _check_ratio(name: str, ratio: Ratio, of: GuideColumn, to: GuideColumn) -> Iterator[Claim]:
    """Each printed ratio against the printed columns, and against what the columns should say."""
    for batch, stated in ratio.stated.items():
        what = f"{ratio.of} / {ratio.to}, {batch if batch == BEST else f'batch {batch}'}"
        claim = compare_figure(name, what, stated, of.printed[batch] / to.printed[batch])
        from_right = compare_figure(name, what, stated, of.right[batch] / to.right[batch])
        if claim.holds and not from_right.holds:
            note = "follows from a figure of its columns that is wrong itself"
            claim = Claim(name, what, stated, from_right.correct, "inherited", holds=False, note=note)
        yield claim


def _judge_ratio(name: str, ratio: Ratio, of: GuideColumn, to: GuideColumn) -> Iterator[Claim]:
    """What the guide concludes: the threshold, and the batches that it does not mention."""
    ratios = divide(of.per_card, to.per_card)
    best = ratios.pop(BEST)
    floor = Decimal(str(ratio.at_least if ratio.at_least is not None else 1))
    required = f"at least {floor}"
    if ratio.at_least is not None and ratio.judged == "best":
        what = f"{ratio.of} / {ratio.to} per card, best against best"
        yield Claim(name, what, required, f"{round_half_up(best, 3)}", "threshold", holds=best >= floor)
    below = [batch for batch, value in ratios.items() if value < floor]
    shown = below or [min(ratios, key=lambda b: ratios[b])]
    listed = ", ".join(f"{round_half_up(ratios[b], 4)} at batch {b}" for b in shown)
    found = listed if below else f"no less than {listed}"
    kind: Kind = "threshold" if ratio.judged == "every" else "scope"
    note = "the guide judges the best batch only" if below and ratio.judged == "best" else ""
    yield Claim(name, f"{ratio.of} / {ratio.to} per card, every batch", required, found, kind, not below, note)


def _check_scopes(name: str, ratio: Ratio, of: GuideColumn, to: GuideColumn) -> Iterator[Claim]:
    if of.chips != to.chips:
        best = of.per_card[BEST] / to.per_card[BEST]
        stated = ratio.stated.get(BEST, "")
        digits = count_digits(stated) or 3
        one, other = (f"one chip of {column.chips}" if column.of_one_chip else "a card" for column in (of, to))
        what = f"{ratio.of} / {ratio.to}, best, per card"
        note = f"the guide sets {one} against {other}"
        yield Claim(name, what, stated, str(round_half_up(best, digits)), "scope", holds=False, note=note)
    if "unknown" not in (of.scope, to.scope) and of.scope != to.scope:
        what = f"{ratio.of} / {ratio.to} are timed alike"
        yield Claim(name, what, "compared", f"{of.scope} time against {to.scope} time", "scope", holds=False)


def check_trainings(name: str, rows: tuple[TrainingRow, ...]) -> Iterator[Claim]:
    """How training scales from one card to more, per device."""
    for one in (row for row in rows if row.cards == 1):
        for many in (row for row in rows if row.device == one.device and row.cards > 1):
            gain = Decimal(str(many.images_per_s)) / Decimal(str(one.images_per_s))
            percent = round_half_up(100 * gain / many.cards, 1)
            holds = gain <= many.cards
            what = f"training on {many.device}: {many.cards} cards over one"
            stated = f"{_show(many.images_per_s)} / {_show(one.images_per_s)}"
            correct = f"{round_half_up(gain, 3)} times, {percent} % of linear"
            sizes = (one.batch_size, many.batch_size)
            batches = "" if None in sizes else f" (batch {sizes[0]} and {sizes[1]})"
            note = "" if holds else f"more than linear: the rows are not the same work{batches}"
            yield Claim(name, what, stated, correct, "scaling", holds, note)


def _check_accuracy(recipe: Recipe) -> Iterator[Claim]:
    """The guide's own accuracies against the one it measures itself against, and whose that is."""
    guide = recipe.guide
    if guide is None or guide.target is None:
        return
    target = Decimal(str(guide.target.top1))
    allowed = target * (1 - Decimal(str(guide.target.relative_drop or 0)))
    for row in guide.accuracy:
        batch = f", batch {row.batch_size}" if row.batch_size else ""
        top1 = Decimal(str(row.top1))
        what, bound = f"top-1 on {row.device}{batch}", f"at least {_show_percent(allowed)}"
        yield Claim(recipe.name, what, _show_percent(top1), bound, "accuracy", top1 >= allowed)
    if guide.target.network is not None:
        whose = f"top-1 of {guide.target.network}; see {guide.target.source}"
        what = f"the top-1 to reach is that of {recipe.network.name}"
        yield Claim(recipe.name, what, _show_percent(target), whose, "accuracy", holds=False)


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
