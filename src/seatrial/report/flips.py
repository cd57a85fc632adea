"""Images whose prediction differs between an engine and the reference."""

from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.results.run import Run


@dataclass(frozen=True, slots=True)
class FlippedImage:
    """An image on which at least one engine differs from the reference."""

    image: str
    label: int | None
    """None without labels."""
    reference: int
    """The reference's first class."""
    predictions: Mapping[str, int]
    """First class by engine, of those that differ."""


def find_flips(run: Run) -> list[FlippedImage] | None:
    """All flipped images, by how many engines, whether these lost it, and name; None without two to compare."""
    reference = run.predictions.get(run.reference)
    others = {name: theirs for name, theirs in run.predictions.items() if name != run.reference}
    if reference is None or not others:
        return None
    where = {image: row for row, image in enumerate(reference.ids)}
    changed: dict[int, dict[str, int]] = {}
    for name, engine in others.items():
        for image, first in zip(engine.ids, engine.classes[:, 0].tolist(), strict=True):
            row = where.get(image)
            if row is not None and first != reference.classes[row, 0]:
                changed.setdefault(row, {})[name] = first
    labels = reference.labels
    flips = [
        FlippedImage(
            reference.ids[row],
            None if labels is None else int(labels[row]),
            int(reference.classes[row, 0]),
            engines,
        )
        for row, engines in changed.items()
    ]
    return sorted(flips, key=lambda flip: (-len(flip.predictions), flip.reference != flip.label, flip.image))
