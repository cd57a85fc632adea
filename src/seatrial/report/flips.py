"""Which images an engine answers otherwise than the reference, from the stored predictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.errors import RefusedFile
from seatrial.report.read import Run, check_file_name
from seatrial.store.files import hash_file
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord


@dataclass(frozen=True, slots=True)
class Flip:
    """An image that at least one engine answers otherwise than the reference."""

    image: str
    label: int
    reference: int
    """The reference's first class."""
    answers: Mapping[str, int]
    """First class by engine, of those that differ."""

    @property
    def lost(self) -> int:
        """How many engines got it wrong where the reference is right."""
        return len(self.answers) if self.reference == self.label else 0

    @property
    def order(self) -> tuple[int, int, str]:
        """Sorts the images with most flips first, then those lost, then by name."""
        return -len(self.answers), -self.lost, self.image


@dataclass(frozen=True, slots=True)
class _Answers:
    images: list[str]
    labels: NDArray[np.int64]
    first: NDArray[np.int64]


def find_flips(run: Run) -> list[Flip] | None:
    """All flipped images, those flipped by most engines first; None when there is nothing to compare.

    Raises:
        RefusedFile: a predictions file is not the one that was evaluated.
    """
    answers = {name: _read_answers(run.folder / "evaluation", record) for name, record in run.accuracy.items()}
    reference = answers.pop(run.reference, None)
    others = {name: found for name, found in answers.items() if found is not None}
    if reference is None or not others:
        return None
    where = {image: row for row, image in enumerate(reference.images)}
    changed: dict[int, dict[str, int]] = {}
    for name, engine in others.items():
        for image, first in zip(engine.images, engine.first.tolist(), strict=True):
            row = where.get(image)
            if row is not None and first != reference.first[row]:
                changed.setdefault(row, {})[name] = first
    flips = [
        Flip(reference.images[row], int(reference.labels[row]), int(reference.first[row]), engines)
        for row, engines in changed.items()
    ]
    return sorted(flips, key=lambda flip: flip.order)


def _read_answers(folder: Path, record: AccuracyRecord) -> _Answers | None:
    check_file_name(record.predictions, folder / f"{record.name}.json")
    path = folder / record.predictions
    if not path.is_file():
        return None
    if hash_file(path) != record.predictions_sha256:
        raise RefusedFile(f"{path} is altered or cut off", "evaluate again with `seatrial evaluate`")
    found = Predictions.load(path, record.classes)
    return _Answers(list(found.ids), found.labels.astype(np.int64), found.classes[:, 0].astype(np.int64))
