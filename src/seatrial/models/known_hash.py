"""What is known of a checkpoint file's bytes before they are read, so that damage is found in every format.

Four things may tell: the manifest that we stored beside it, the record of the training that wrote it, its own name, and
the card. The first two name the file. A name such as `resnet50-0676ba61.pth` ends in the first digits of the file's
sha256: torch.hub's rule, which torchvision and timm follow. The card names the published file, which one's own weights
need not be; only under the published file's name they would be taken for it.
"""

import re
from pathlib import Path

from seatrial.errors import RefusedFile, UsageError
from seatrial.recipes.fetch import is_published
from seatrial.recipes.schema import Recipe
from seatrial.store.files import hash_file, manifest_path
from seatrial.store.records import CheckpointManifest, TrainingRecord

TRAINING = "train.json"
"""The record of a training, beside the checkpoint that it wrote."""
TRAINERS_NAMES = frozenset({"checkpoint.pth.tar", "model_best.pth.tar", "state_dict.pth"})
"""What training scripts call any weights: such a name does not claim to be the file that a card publishes."""
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.(?:pth|pt|pth\.tar)$")
"""Eight digits or more; without a letter it may be a date."""


def check_known(path: Path, recipe: Recipe) -> bool | None:
    """Compare a checkpoint file with every checksum at hand.

    Returns:
        Whether it is the published file of the card, or was stored from it; None where the card has no checksum.

    Raises:
        UsageError: the file cannot be read.
        RefusedFile: its manifest, its training's record, its name or the card states another checksum.
    """
    if not path.is_file():
        return None  # Whoever reads it says so.
    try:
        _check_records(path)
        _check_name(path)
        return _check_card(path, recipe)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None


def _check_records(path: Path) -> None:
    beside, trained = manifest_path(path), path.with_name(TRAINING)
    if CheckpointManifest.stands_at(beside) and CheckpointManifest.load(beside).sha256 != hash_file(path):
        raise RefusedFile(
            f"{path} is not the file that {beside.name} describes: checksum mismatch",
            "store the checkpoint again; or remove that manifest, where it is of another file",
        )
    if TrainingRecord.stands_at(trained):
        record = TrainingRecord.load(trained)
        if record.checkpoint == path.name and record.checkpoint_sha256 != hash_file(path):
            raise RefusedFile(
                f"{path} is not the file that its training left ({TRAINING}): checksum mismatch",
                "train again; or give it another name, where it is another file",
            )


def _check_name(path: Path) -> None:
    stated = _HASH_IN_NAME.search(path.name)
    if stated is None or stated[1].isdigit():
        return
    found = hash_file(path)
    if not found.startswith(stated[1]):
        raise RefusedFile(
            f"{path} is not the file that its name states: its sha256 begins with {found[: len(stated[1])]}",
            "fetch it again; or give it another name, where these are your own weights",
        )


def _check_card(path: Path, recipe: Recipe) -> bool | None:
    if recipe.weights is None:
        return None
    beside = manifest_path(path)
    if CheckpointManifest.stands_at(beside):
        stored = CheckpointManifest.load(beside)
        if stored.published is not None and stored.recipe == recipe.name:
            return stored.published
    published = is_published(path, recipe.weights)
    if published is False and path.name == recipe.weights.file and path.name not in TRAINERS_NAMES:
        raise RefusedFile(
            f"{path} has the name of {recipe.name}'s published weights and another checksum than the card states",
            f"fetch it again with `seatrial recipes fetch {recipe.name}`; or give your own weights another name",
        )
    return published
