"""What a training that was stopped needs to go on as if it had not been."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seatrial.errors import RefusedFile, UsageError
from seatrial.models.read_file import read_content
from seatrial.store.files import replacing
from seatrial.store.records import Epoch

START_AGAIN = "delete it to train from the start"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after a whole epoch. Crops and order follow from (seed, epoch), so no random state is kept."""

    key: str
    network: dict[str, Any]
    optimizer: dict[str, Any]
    epochs: tuple[Epoch, ...]


def save_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write the snapshot; the one before stays until this one is whole."""
    state = {
        "key": snapshot.key,
        "network": snapshot.network,
        "optimizer": snapshot.optimizer,
        "epochs": [epoch.model_dump() for epoch in snapshot.epochs],
    }
    # torch's own writer hides a full disk behind an error of its own.
    packed = io.BytesIO()
    torch.save(state, packed)
    with replacing(path) as temporary:
        temporary.write_bytes(packed.getbuffer())


def load_snapshot(path: Path, key: str) -> Snapshot | None:
    """The snapshot of this very training; None when there is none, or it belongs to other settings or data.

    Raises:
        RefusedFile: the file is damaged, or no snapshot.
    """
    if not path.exists():
        return None
    try:
        state = read_content(path).value
        if state["key"] != key:
            return None
        epochs = tuple(Epoch.read(epoch, str(path)) for epoch in state["epochs"])
        return Snapshot(key, state["network"], state["optimizer"], epochs)
    except RefusedFile as error:
        raise RefusedFile(error.problem, START_AGAIN) from None
    except (KeyError, TypeError, UsageError):
        raise RefusedFile(f"{path} is no snapshot of a training", START_AGAIN) from None
