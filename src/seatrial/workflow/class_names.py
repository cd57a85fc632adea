"""What the classes of a card without names are called: as in the training of its checkpoint, else as their folders."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from seatrial.data.classes import name_by_folders
from seatrial.data.images import LabelledImage
from seatrial.errors import SeatrialError, UsageError
from seatrial.models.sources import ResolvedCard
from seatrial.progress import Progress, Update
from seatrial.recipes import Recipe
from seatrial.recipes.class_names import find_reordered, read_names
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
    """The card with the names of the training that wrote a checkpoint, where it has none itself.

    Raises:
        UsageError: as `check_order`.
    """
    trained = find_trained_names(checkpoint)
    check_order(card.recipe, trained, checkpoint)
    return card.name_classes(trained, f"from {RECORD} of the checkpoint")


def check_order(recipe: Recipe, trained: Sequence[str], checkpoint: Path | None) -> None:
    """Refuse a card whose names are those of the training in another order: every class would be called another's.

    Raises:
        UsageError: names the first class that is another one.
    """
    own = read_names(recipe) or ()
    place = find_reordered(trained, own)
    if place is None:
        return
    raise UsageError(
        f"class {place} of {checkpoint} was trained as '{trained[place]}' ({RECORD}), and card {recipe.name} calls it "
        f"'{own[place]}'",
        "put labels.names of the card in the order of the training, or leave them out",
    )


def name_by_set(card: ResolvedCard, images: Sequence[LabelledImage], progress: Progress) -> ResolvedCard:
    """The card with the names of the class folders that a set lies in, where it has none by now."""
    named = card.name_classes(name_by_folders(images, card.recipe.network.classes), "from the class folders")
    if named is not card:
        progress(Update("images", note="the class folders name the classes, as the card does not"))
    return named
