"""The Hugging Face hub: what of a repository is downloaded, into the store of the hub's own client.

All repositories call their files alike; the client keeps those of each repository and revision apart.
"""

from collections.abc import Sequence
from pathlib import Path

from seatrial.errors import DataError, UsageError, first_line
from seatrial.extras import naming_extras
from seatrial.store.files import STORAGE_ERRORS, describe_os_error

DESCRIPTION = ("config.json", "preprocessor_config.json")
"""What says which network a repository has, and how its images are prepared."""
WEIGHTS = "model.safetensors"


def fetch_files(repository: str, revision: str | None, names: Sequence[str], folder: Path | None = None) -> Path:
    """Download those of these files that a repository has and that are not here yet; returns their folder.

    Args:
        repository: `ORG/NAME`.
        revision: a branch, tag or commit; None: `main`.
        folder: where to; None: the store of the hub's client.

    Raises:
        UsageError: the hub has no such repository or revision, or gives it to some users alone.
        DataError: the hub cannot be reached; the same call goes on where it stopped.
        StorageError: the disk is full or may not be written.
        EngineError: huggingface_hub is not installed.
    """
    with naming_extras("downloads from the Hugging Face hub"):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
    name = f"{repository}@{revision}" if revision else repository
    try:
        return Path(snapshot_download(repository, revision=revision, local_dir=folder, allow_patterns=list(names)))
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        problem = f"the Hugging Face hub does not give {name} ({first_line(error)})"
        raise UsageError(problem, "check its name; for one that is not public, log in with `hf auth login`") from None
    except Exception as error:  # Of the client, of its HTTP library, and of the disk.
        if isinstance(error, OSError) and error.errno in STORAGE_ERRORS:
            raise describe_os_error(error, folder or Path()) from None
        problem = f"{name} cannot be downloaded from the Hugging Face hub ({first_line(error)})"
        raise DataError(problem, "check the network and run the same command again") from None
