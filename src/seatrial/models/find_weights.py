"""Where a card's published weights are on this machine, among what seatrial and the libraries have downloaded."""

import os
from collections.abc import Iterator
from pathlib import Path

from seatrial.errors import UsageError
from seatrial.models.fetch import fetch_weights
from seatrial.progress import Progress, silent
from seatrial.recipes.schema import Recipe, Weights
from seatrial.store.files import cache_folder, caches_folder


def find_weights(recipe: Recipe, given: Path | None, fetch: bool = False, progress: Progress = silent) -> Path:
    """The checkpoint to take: the one that was given, else the card's published one, where it is stored.

    Args:
        fetch: download it where it is not stored.

    Raises:
        UsageError: none was given and the card names none, or it is not on this machine; says what to get and where
            to put it.
        SeatrialError: as `recipes.fetch.fetch_weights`, where it is downloaded.
    """
    if given is not None:
        if not given.is_file():
            state = "is a folder, not a file" if given.is_dir() else "does not exist"
            raise UsageError(f"checkpoint {given} {state}", "give --checkpoint FILE")
        return given
    weights = recipe.weights
    if weights is None:
        raise UsageError(f"{recipe.name} names no published weights", "give your own with --checkpoint FILE")
    found = next((place for place in list_places(weights) if place.is_file()), None)
    if found is not None:
        return found
    if fetch:
        return fetch_weights(recipe, weights_folder(), progress)
    stated = weights.sha256 or weights.sha256_prefix
    hash_words = f" (sha256 {stated}{'' if weights.sha256 else '…'})" if stated else ""
    raise UsageError(
        f"the weights {weights.file}{hash_words} are not on this machine",
        (f"{weights.note}; or " if weights.note and not weights.url else "")
        + (f"add --fetch to download {weights.url}; or " if weights.url else "")
        + f"put the file into {weights_folder()}, or give --checkpoint FILE",
    )


def weights_folder() -> Path:
    """Where `seatrial recipes fetch` puts weights."""
    return cache_folder() / "weights"


def list_places(weights: Weights) -> Iterator[Path]:
    """Where published weights may be: our own folder, torch.hub's and the Hugging Face client's."""
    if weights.path is not None:
        yield Path(weights.path)
    if weights.hub is None or weights.file != "model.safetensors":  # a name that many have
        yield weights_folder() / weights.file
    yield Path(os.environ.get("TORCH_HOME") or caches_folder() / "torch") / "hub" / "checkpoints" / weights.file
    if weights.hub is None:
        return
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return
    organisation, name, file = weights.hub.split("/", 2)
    stored = try_to_load_from_cache(f"{organisation}/{name}", file, revision=weights.revision)
    if isinstance(stored, str):
        yield Path(stored)
