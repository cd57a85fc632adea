"""Images whose first class differs between an engine and the reference, the gravest first, with small pictures."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from seatrial.recipes.class_names import name_class
from seatrial.report.numbers import write_figures, write_percent
from seatrial.report.tables import ENGINE, NOTHING, Column, Table, numbers
from seatrial.results.run import Run
from seatrial.store.flips import Flip, FlipKind, list_flips
from seatrial.store.predictions import Predictions, restrict

MOST_FLIPS = 24
"""Shown of all engines together, each perhaps with a picture."""
MEANING: Mapping[FlipKind, str] = {
    "lost": "was right, now wrong",
    "wrong in both": "wrong in both",
    "gained": "was wrong, now right",
    "not known": "another class",
}
"""In words."""


def find_flips(run: Run) -> dict[str, list[Flip]] | None:
    """All flipped images by engine, the gravest first; None without the predictions of two engines."""
    reference = run.predictions.get(run.reference)
    others = {name: theirs for name, theirs in run.predictions.items() if name != run.reference}
    if reference is None or not others:
        return None
    return {name: _find_of(run, name, restrict(reference, ours.ids), ours) for name, ours in others.items()}


def _find_of(run: Run, name: str, reference: Predictions, ours: Predictions) -> list[Flip]:
    """Those of one engine, with pictures as far as there are any."""
    if reference.ids != ours.ids:
        return []  # Evaluations of other images, which is a doubt.
    pictures = {flip.image: flip.thumbnail for flip in run.flips[name].flips} if name in run.flips else {}
    return [
        flip.model_copy(update={"thumbnail": pictures[flip.image]}) if flip.image in pictures else flip
        for flip in list_flips(reference, ours)
    ]


def choose_flips(by_engine: Mapping[str, Sequence[Flip]]) -> list[tuple[str, Flip]]:
    """The gravest of all engines, which take turns, so that none crowds out another; the gravest first, by engine."""
    named = [[(name, flip) for flip in flips] for name, flips in by_engine.items()]
    turns = (each for turn in zip_longest(*named) for each in turn if each is not None)
    chosen = [each for each, _ in zip(turns, range(MOST_FLIPS), strict=False)]
    return sorted(chosen, key=lambda each: each[1].order)


def make_flips(run: Run) -> Table:
    """The gravest flips of all engines."""
    found = find_flips(run)
    shown = choose_flips(found or {})
    rows = tuple(_write_flip(run, name, flip) for name, flip in shown)
    columns = (
        Column("Picture", "image"),
        ENGINE,
        Column("Image", "code"),
        *map(Column, ("Label", f"{run.reference} said", "It says")),
        *numbers("Margin"),
        Column("What"),
    )
    count = sum(map(len, (found or {}).values()))
    more = f" {len(shown)} of {count:,} are shown, as many of each engine as of another." if count > len(shown) else ""
    note = (
        "Confident and now wrong comes first. In brackets: the confidence in the class. Margin: by how much the best "
        f"score of the engine lies above its second.{more}"
    )
    absent = "The predictions of two engines are needed to name the images that flip; this folder has fewer."
    if found is not None:
        absent = f"No image flips: every engine gives the first class of {run.reference} on every image."
    start = 0 if any(flip.thumbnail for _, flip in shown) else 1
    return Table("Images that flip", note, columns[start:], tuple(row[start:] for row in rows), absent)


def _write_flip(run: Run, engine: str, flip: Flip) -> tuple[str, ...]:
    return (
        flip.data_uri,
        engine,
        flip.image,
        NOTHING if flip.label is None else name_class(run.recipe, flip.label),
        _write_class(run, flip.reference, flip.reference_confidence),
        _write_class(run, flip.predicted, flip.confidence),
        NOTHING if flip.margin is None else write_figures(flip.margin),
        MEANING[flip.kind],
    )


def _write_class(run: Run, index: int, confidence: float | None) -> str:
    name = name_class(run.recipe, index)
    return name if confidence is None else f"{name} ({write_percent(confidence)} %)"
