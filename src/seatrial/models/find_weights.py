"""Where a card's published weights are on this machine, among what seatrial and the libraries have downloaded."""

import os
from collections.abc import Iterator
from pathlib import Path

from seatrial.errors import UsageError
from seatrial.models.fetch import fetch_weights
from seatrial.models.hub import DESCRIPTION, WEIGHTS, fetch_files
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
        SeatrialError: as `fetch_published`, where it is downloaded.
    """
    if given is not None:
        if not given.is_file():
            state = "is a folder, not a file" if given.is_dir() else "does not exist"
            raise UsageError(f"checkpoint {given} {state}", "give --checkpoint FILE")
        return given
    weights = recipe.weights
    if weights is None:
        raise UsageError(f"{recipe.name} names no published weights", "give your own with --checkpoint FILE")
    found = _find_stored(weights)
    if found is not None:
        return found
    if fetch:
        return fetch_published(recipe, progress)
    stated = weights.sha256 or weights.sha256_prefix
    hash_words = f" (sha256 {stated}{'' if weights.sha256 else '…'})" if stated else ""
    raise UsageError(
        f"the weights {weights.file}{hash_words} are not on this machine",
        (f"{weights.note}; or " if weights.note and not weights.url else "")
        + (f"add --fetch to download {weights.url}; or " if weights.url else "")
        + ("" if _is_kept_by_hub(weights) else f"put the file into {weights_folder()}, or ")
        + "give --checkpoint FILE",
    )


def fetch_published(recipe: Recipe, progress: Progress = silent, folder: Path | None = None) -> Path:
    """Download a card's published weights, unless they are there; returns the file.

    Args:
        folder: where to put it, beside what describes it where it is of the hub; None: where `find_weights` looks.

    Raises:
        UsageError: the card has no address, or one that leads nowhere.
        SeatrialError: as `models.fetch.fetch_weights` and `models.hub.fetch_files`.
    """
    weights = recipe.weights
    if weights is None or weights.hub is None or not _is_kept_by_hub(weights):
        return fetch_weights(recipe, folder or weights_folder(), progress)
    found = _find_stored(weights) if folder is None else None
    if found is not None:
        return found
    organisation, name, file = weights.hub.split("/", 2)
    repository = f"{organisation}/{name}"
    fetched = fetch_files(repository, weights.revision, (file, *(DESCRIPTION if folder else ())), folder) / file
    if not fetched.is_file():
        problem = f"{repository} on the Hugging Face hub has no {file}"
        raise UsageError(problem, "give its weights with --checkpoint FILE")
    return fetched


def weights_folder() -> Path:
    """Where `seatrial recipes fetch` puts weights."""
    return cache_folder() / "weights"


def list_places(weights: Weights) -> Iterator[Path]:
    """Where published weights may be: our own folder, torch.hub's and the Hugging Face client's."""
    if weights.path is not None:
        yield Path(weights.path)
    if not _is_kept_by_hub(weights):
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


def _find_stored(weights: Weights) -> Path | None:
    return next((place for place in list_places(weights) if place.is_file()), None)


def _is_kept_by_hub(weights: Weights) -> bool:
    """Whether the hub's client alone keeps the file: in a folder of many models its name would be another one's."""
    return weights.hub is not None and weights.file == WEIGHTS
