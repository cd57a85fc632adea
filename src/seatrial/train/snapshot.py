"""What a training that was stopped needs to go on as if it had not been."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seatrial.errors import RefusedFile
from seatrial.store.files import replacing
from seatrial.store.records import Epoch


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
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_snapshot(path: Path, key: str) -> Snapshot | None:
    """The snapshot of this very training; None when there is none, or it belongs to other settings or data.

    Raises:
        RefusedFile: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        epochs = tuple(Epoch.read(epoch, str(path)) for epoch in state["epochs"])
    except Exception as error:  # whatever a damaged pickle raises
        raise RefusedFile(f"{path} is damaged ({error})", "delete it to train from the start") from None
    if state["key"] != key:
        return None
    return Snapshot(key, state["network"], state["optimizer"], epochs)
