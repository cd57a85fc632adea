"""The images whose first class differs from the reference's, the gravest with a small picture: `NAME.flips.json`."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from seatrial.errors import SeatrialError
from seatrial.store.predictions import Predictions
from seatrial.store.record import Record
from seatrial.store.records import AccuracyRecord
from seatrial.strict import Strict

FlipKind = Literal["lost", "gained", "wrong in both", "not known"]
"""Not known without labels."""
GRAVEST_FIRST: tuple[FlipKind, ...] = ("lost", "wrong in both", "gained", "not known")
FLIPS = "{}.flips.json"
"""The record's name beside the predictions; `{}` is the engine's."""
MOST_FLIPS = 24
"""Images that are shown of one engine."""
Picture = Annotated[str, Field(pattern=r"^(/9j/[A-Za-z0-9+/]*={0,2})?$", max_length=60_000)]
"""A JPEG in base64, or nothing: what a page may put into an address of its own as it is."""


class Flip(Strict):
    """An image on which engine and reference differ."""

    image: str
    """Its id."""
    label: int | None
    """None where labels are not known."""
    reference: int
    """First class of the reference."""
    predicted: int
    """First class of the engine."""
    kind: FlipKind
    reference_confidence: float | None
    """Confidence 0..1 of the reference in its first class; None where the denominators are not stored."""
    confidence: float | None
    """That of the engine."""
    margin: float | None
    """The engine's best score minus its second; None of one class."""
    thumbnail: Picture = ""
    """Its longest side at most 96 pixels; empty where the image could not be read any more."""

    @property
    def data_uri(self) -> str:
        """The picture as a page embeds it; empty where there is none."""
        return f"data:image/jpeg;base64,{self.thumbnail}" if self.thumbnail else ""

    @property
    def order(self) -> tuple[int, float, str]:
        """Sorts the gravest first: by what it means, and the surest of the engine before the others."""
        sure = self.margin if self.confidence is None else self.confidence
        return GRAVEST_FIRST.index(self.kind), -(sure or 0.0), self.image


class FlipsRecord(Record):
    """Flips of one engine against its reference."""

    schema_: Literal["seatrial/flips/1"] = Field(default="seatrial/flips/1", alias="schema")
    name: str
    """The engine."""
    reference: str
    predictions_sha256: str
    reference_sha256: str
    """Of the predictions of both."""
    changed: int
    """All images that flipped."""
    flips: tuple[Flip, ...] = Field(max_length=MOST_FLIPS)
    """The gravest: lost ones first, then wrong in both, then gained, each by the engine's confidence."""

    def is_of(self, record: AccuracyRecord) -> bool:
        """Whether these are the flips of an evaluation as it is now."""
        ours = (self.name, self.predictions_sha256)
        compared = record.compared
        theirs = None if compared is None else (compared.reference, compared.reference_sha256)
        return ours == (record.name, record.predictions_sha256) and (self.reference, self.reference_sha256) == theirs


def load_flips(folder: Path, name: str, record: AccuracyRecord) -> FlipsRecord | None:
    """The flips beside an accuracy record; None where there are none, or those of other predictions or damaged ones."""
    path = folder / FLIPS.format(name)
    with contextlib.suppress(SeatrialError):
        found = FlipsRecord.load(path) if path.is_file() else None
        return found if found is not None and found.is_of(record) else None
    return None


def sort_flips(
    reference: NDArray[np.integer], predicted: NDArray[np.integer], labels: NDArray[np.integer] | None
) -> Mapping[FlipKind, NDArray[np.int64]]:
    """Rows where first classes (n,) differ, by what that means; each in ascending order, lost ones first."""
    differ = reference != predicted
    if labels is None:
        return {"not known": np.flatnonzero(differ)}
    kinds: dict[FlipKind, NDArray[np.bool_]] = {
        "lost": differ & (reference == labels),
        "gained": differ & (predicted == labels),
        "wrong in both": differ & (reference != labels) & (predicted != labels),
    }
    return {kind: np.flatnonzero(chosen) for kind, chosen in kinds.items()}


def list_flips(reference: Predictions, ours: Predictions) -> list[Flip]:
    """All flips of predictions of the same images in the same order, without pictures, the gravest first.

    Lost ones come first, then wrong in both, then gained; of each the surest first. Sure is the engine's confidence,
    and where that is not stored, its margin.
    """
    before, after = (_read_confidences(predictions) for predictions in (reference, ours))
    margins = ours.scores[:, 0] - ours.scores[:, 1] if ours.scores.shape[1] > 1 else None
    rows = sort_flips(reference.classes[:, 0], ours.classes[:, 0], ours.labels)
    flips = (
        Flip(
            image=ours.ids[row],
            label=None if ours.labels is None else int(ours.labels[row]),
            reference=int(reference.classes[row, 0]),
            predicted=int(ours.classes[row, 0]),
            kind=kind,
            reference_confidence=before[row],
            confidence=after[row],
            margin=None if margins is None else float(margins[row]),
        )
        for kind, found in rows.items()
        for row in found.tolist()
    )
    return sorted(flips, key=lambda flip: flip.order)


def _read_confidences(predictions: Predictions) -> Sequence[float | None]:
    """Of each image's first class."""
    known = predictions.confidences()
    if known is None:
        return [None] * len(predictions.ids)
    first: list[float | None] = np.asarray(known[:, 0], dtype=np.float64).tolist()
    return first
