"""What a stopped training needs to resume as if it had never stopped, in two files: the newest and the one before."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seatrial.errors import RefusedFile, UsageError
from seatrial.models.read_file import read_content
from seatrial.store.files import link_or_copy, replacing
from seatrial.train.checkpoint.snapshot_files import DAMAGED, PREVIOUS, SNAPSHOT
from seatrial.train.checkpoint.train_state import TrainState

FORMAT = "seatrial/snapshot/2"
START_AGAIN = "delete it to train from the start"
ELSEWHERE = "give another --output (and --resume FILE to start from it), or replace it with --force"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state between two steps, the same whatever the number of processes.

    There is no random state: order and crops follow from seed and epoch, all else from seed, step and rank.
    """

    key: str
    """Identifies the training."""
    seed: int
    network: dict[str, Any]
    average: dict[str, Any] | None
    """The averaged weights, of a training that has them."""
    optimizer: dict[str, Any] | None
    """None if a checkpoint of another trainer had none that fits."""
    scaler: dict[str, Any]
    """The loss scaler of fp16, empty otherwise."""
    train_state: TrainState


def save_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Write the newest snapshot; the one before is kept as the previous.

    Raises:
        StorageError: the disk is full or may not be written; both files are as they were.
    """
    state = {
        "format": FORMAT,
        "key": snapshot.key,
        "seed": snapshot.seed,
        "network": snapshot.network,
        "average": snapshot.average,
        "optimizer": snapshot.optimizer,
        "scaler": snapshot.scaler,
        "standing": snapshot.train_state.state_dict(),
    }
    newest = folder / SNAPSHOT
    with replacing(newest) as temporary:
        temporary.write_bytes(pack_state(state))
        if newest.exists():
            second_name = temporary.with_name(PREVIOUS)
            link_or_copy(newest, second_name)
            second_name.replace(folder / PREVIOUS)


def pack_state(state: Mapping[str, Any]) -> memoryview:
    """The bytes of a torch file; torch's own writer hides a full disk behind another error."""
    packed = io.BytesIO()
    torch.save(dict(state), packed)
    return packed.getbuffer()


def find_snapshot(folder: Path, key: str) -> tuple[Snapshot | None, str]:
    """The newest whole snapshot of this training, and a note for the user.

    A damaged one is moved away, so that the next snapshot does not make it the previous one.

    Raises:
        UsageError: it is of another training, and this one would overwrite it.
        RefusedFile: there are snapshots, and none of them is whole.
    """
    damage: list[RefusedFile] = []
    note = ""
    for path in (folder / SNAPSHOT, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            snapshot = read_snapshot(path)
        except RefusedFile as error:
            damage.append(error)
            continue
        if damage:
            (folder / SNAPSHOT).replace(folder / DAMAGED)
            note = f"{folder / SNAPSHOT} is damaged and now called {DAMAGED}; resuming from the one before it"
        if snapshot.key == key:
            return snapshot, note
        state = snapshot.train_state
        raise UsageError(
            f"{path} (epoch {state.epoch}, step {state.step}) is of a training with other settings, data or versions",
            ELSEWHERE,
        )
    if damage:
        raise RefusedFile(damage[0].problem, START_AGAIN)
    return None, ""


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot; its tensors come to host memory.

    Raises:
        UsageError: there is no such file.
        RefusedFile: it is damaged, or no snapshot.
    """
    state = read_content(path).value
    if not is_snapshot(state):
        raise RefusedFile(f"{path} is not a snapshot of a training", START_AGAIN)
    return parse_snapshot(state, path)


def is_snapshot(state: Any) -> bool:
    """Whether the content of a file is a snapshot."""
    return isinstance(state, dict) and state.get("format") == FORMAT


def parse_snapshot(state: dict[str, Any], path: Path) -> Snapshot:
    """The snapshot in the content of the file `path`.

    Raises:
        RefusedFile: something is missing or of another type.
    """
    try:
        return Snapshot(
            key=state["key"],
            seed=state["seed"],
            network=state["network"],
            average=state["average"],
            optimizer=state["optimizer"],
            scaler=state["scaler"],
            train_state=TrainState.from_state_dict(state["standing"], str(path)),
        )
    except (KeyError, TypeError, ValueError, UsageError):
        raise RefusedFile(f"{path} is not a whole snapshot of a training", START_AGAIN) from None
