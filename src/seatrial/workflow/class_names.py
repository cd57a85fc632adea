"""What the classes of a card without names are called: as in the training of its checkpoint, else as their folders."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from seatrial.data.classes import name_by_folders
from seatrial.data.images import LabelledImage
from seatrial.errors import SeatrialError
from seatrial.models.sources import ResolvedCard
from seatrial.progress import Progress, Update
from seatrial.store.files import hash_file
from seatrial.store.training import TrainingRecord
from seatrial.workflow.train_spec import RECORD


def find_trained_names(checkpoint: Path | None) -> tuple[str, ...]:
    """The class names in the record of the training that wrote a checkpoint; none where there is no such record."""
    if checkpoint is None or not TrainingRecord.stands_at(checkpoint.parent / RECORD):
        return ()
    with contextlib.suppress(SeatrialError, OSError):
        record = TrainingRecord.load(checkpoint.parent / RECORD)
        if record.class_names and hash_file(checkpoint) == record.checkpoint_sha256:
            return record.class_names
    return ()


def name_trained(card: ResolvedCard, checkpoint: Path | None) -> ResolvedCard:
    """The card with the names of the training that wrote a checkpoint, where it has none itself."""
    if card.recipe.labels.names is not None:
        return card
    return card.name_classes(find_trained_names(checkpoint), f"from {RECORD} of the checkpoint")


def name_by_set(card: ResolvedCard, images: Sequence[LabelledImage], progress: Progress) -> ResolvedCard:
    """The card with the names of the class folders that a set lies in, where it has none by now."""
    named = card.name_classes(name_by_folders(images, card.recipe.network.classes), "from the class folders")
    if named is not card:
        progress(Update("images", note="the class folders name the classes, as the card does not"))
    return named
