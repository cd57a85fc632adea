"""What is known of a checkpoint file's bytes before they are read, so that damage is found in every format.

A checksum may be in four places: the manifest that we stored beside it, the record of the training that wrote it, its
own name, and the card. The first two name the file. A name such as `resnet50-0676ba61.pth` ends in the first digits of
the file's sha256: torch.hub's rule, which torchvision and timm follow; one's own may as well end in a commit or the
number of a run, so that only a name like that of the card's file counts. The card names the published file, which one's
own weights need not be; only under the published file's name they would be taken for it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import RefusedFile, UsageError
from seatrial.models.fetch import is_published, read_digests
from seatrial.models.find_weights import list_places
from seatrial.recipes.schema import Recipe
from seatrial.store.files import manifest_path
from seatrial.store.records import CheckpointManifest
from seatrial.store.training import TrainingRecord

TRAINING = "train.json"
"""The record of a training, beside the checkpoint that it wrote."""
TRAINERS_NAMES = frozenset({"checkpoint.pth.tar", "model_best.pth.tar", "state_dict.pth"})
"""What training scripts call any weights: such a name does not claim to be the file that a card publishes."""
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.(?:pth|pt|pth\.tar)$")
"""Eight digits or more; without a letter it may be a date."""


@dataclass(frozen=True, slots=True)
class KnownHash:
    """What a checkpoint file is."""

    sha256: str
    published: bool | None
    """Whether it is the published file of the card, or was stored from it; None where it is not known."""


def check_known(path: Path, recipe: Recipe) -> KnownHash:
    """Compare a checkpoint file, which is read once, with every checksum at hand.

    Raises:
        UsageError: the file is not there or cannot be read.
        RefusedFile: its manifest, its training's record, its name or the card states another checksum.
    """
    try:
        found = read_digests(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "check its permissions") from None
    _check_records(path, found["sha256"])
    _check_name(path, found["sha256"], recipe)
    return KnownHash(found["sha256"], _check_card(path, found, recipe))


def _check_records(path: Path, sha256: str) -> None:
    beside, trained = manifest_path(path), path.with_name(TRAINING)
    if CheckpointManifest.stands_at(beside) and CheckpointManifest.load(beside).sha256 != sha256:
        raise RefusedFile(
            f"{path} is not the file that {beside.name} describes: checksum mismatch",
            "store the checkpoint again; or remove that manifest, where it is of another file",
        )
    if TrainingRecord.stands_at(trained):
        record = TrainingRecord.load(trained)
        if record.checkpoint == path.name and record.checkpoint_sha256 != sha256:
            raise RefusedFile(
                f"{path} is not the file that its training left ({TRAINING}): checksum mismatch",
                "train again; or give it another name, where it is another file",
            )


def read_stated(name: str) -> str | None:
    """The first digits of its sha256 that a file's name may state; None where it states none."""
    stated = _HASH_IN_NAME.search(name)
    return None if stated is None or stated[1].isdigit() else stated[1]


def _check_name(path: Path, sha256: str, recipe: Recipe) -> None:
    stated, published = read_stated(path.name), "" if recipe.weights is None else recipe.weights.file
    alike = _HASH_IN_NAME.sub("", path.name) == _HASH_IN_NAME.sub("", published) != published
    if stated is not None and alike and not sha256.startswith(stated):
        raise RefusedFile(
            f"{path} is not the file that its name states: its sha256 begins with {sha256[: len(stated)]}",
            "fetch it again; or give it another name, where these are your own weights",
        )


def _check_card(path: Path, found: Mapping[str, str], recipe: Recipe) -> bool | None:
    if recipe.weights is None:
        return None
    beside = manifest_path(path)
    if CheckpointManifest.stands_at(beside):
        stored = CheckpointManifest.load(beside)
        if stored.published is not None and stored.recipe == recipe.name:
            return stored.published
        published = is_published({"sha256": stored.source_sha256}, recipe.weights)
        # One canonical file may have been stored from another, and that one from the published file.
        return None if published is False and stored.source.endswith(".safetensors") else published
    published = is_published(found, recipe.weights)
    if published is False and path.name == recipe.weights.file and path.name not in TRAINERS_NAMES:
        raise RefusedFile(
            f"{path} has the name of {recipe.name}'s published weights and another checksum than the card states",
            f"fetch it again with `seatrial recipes fetch {recipe.name}`; or give your own weights another name",
        )
    if published is None and path in list_places(recipe.weights):
        return True  # Where only what was published is put.
    return published
