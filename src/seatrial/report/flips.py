"""Images whose first class differs between an engine and the reference, the gravest first, with small pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from seatrial.recipes.class_names import name_class
from seatrial.report.numbers import write_figures, write_percent
from seatrial.report.tables import ENGINE, NOTHING, Column, Table, numbers
from seatrial.results.run import Run
from seatrial.store.flips import GRAVEST_FIRST, FlipKind, sort_flips
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


@dataclass(frozen=True, slots=True)
class FlippedImage:
    """An image to which an engine gives another first class than the reference."""

    engine: str
    image: str
    label: int | None
    """None without labels."""
    reference: int
    """The reference's first class."""
    predicted: int
    kind: FlipKind
    reference_confidence: float | None
    """Of its first class, 0..1; None where it is not stored."""
    confidence: float | None
    """Of the engine in its own."""
    margin: float | None
    """The engine's best score minus its second; None of one class."""
    picture: str
    """A data address; empty where there is none."""

    @property
    def order(self) -> tuple[int, float, str]:
        """Sorts the gravest first: confident and now wrong."""
        weight = self.margin if self.confidence is None else self.confidence
        return GRAVEST_FIRST.index(self.kind), -(weight or 0.0), self.image


def find_flips(run: Run) -> dict[str, list[FlippedImage]] | None:
    """All flipped images by engine, the gravest first; None without the predictions of two engines."""
    reference = run.predictions.get(run.reference)
    others = {name: theirs for name, theirs in run.predictions.items() if name != run.reference}
    if reference is None or not others:
        return None
    return {
        name: sorted(_list_flips(run, name, restrict(reference, ours.ids), ours), key=lambda flip: flip.order)
        for name, ours in others.items()
    }


def _list_flips(run: Run, name: str, reference: Predictions, ours: Predictions) -> Iterator[FlippedImage]:
    if reference.ids != ours.ids:
        return  # Evaluations of other images, which is a doubt.
    pictures = {flip.image: flip.data_uri for flip in run.flips[name].flips} if name in run.flips else {}
    before, after = reference.classes[:, 0], ours.classes[:, 0]
    sure_before, sure_after = (_read_confidences(predictions) for predictions in (reference, ours))
    for kind, rows in sort_flips(before, after, ours.labels).items():
        for row in rows.tolist():
            yield FlippedImage(
                engine=name,
                image=ours.ids[row],
                label=None if ours.labels is None else int(ours.labels[row]),
                reference=int(before[row]),
                predicted=int(after[row]),
                kind=kind,
                reference_confidence=sure_before[row],
                confidence=sure_after[row],
                margin=float(ours.scores[row, 0] - ours.scores[row, 1]) if ours.scores.shape[1] > 1 else None,
                picture=pictures.get(ours.ids[row], ""),
            )


def _read_confidences(predictions: Predictions) -> Sequence[float | None]:
    """Of each image's first class."""
    known = predictions.confidences()
    if known is None:
        return [None] * len(predictions.ids)
    first: list[float | None] = np.asarray(known[:, 0], dtype=np.float64).tolist()
    return first


def choose_flips(by_engine: Mapping[str, Sequence[FlippedImage]]) -> list[FlippedImage]:
    """The gravest of all engines, which take turns, so that none crowds out another; the gravest first."""
    turns = (flip for turn in zip_longest(*by_engine.values()) for flip in turn if flip is not None)
    chosen = [flip for flip, _ in zip(turns, range(MOST_FLIPS), strict=False)]
    return sorted(chosen, key=lambda flip: flip.order)


def make_flips(run: Run) -> Table:
    """The gravest flips of all engines."""
    found = find_flips(run)
    shown = choose_flips(found or {})
    rows = tuple(_write_flip(run, flip) for flip in shown)
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
    start = 0 if any(flip.picture for flip in shown) else 1
    return Table("Images that flip", note, columns[start:], tuple(row[start:] for row in rows), absent)


def _write_flip(run: Run, flip: FlippedImage) -> tuple[str, ...]:
    return (
        flip.picture,
        flip.engine,
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
