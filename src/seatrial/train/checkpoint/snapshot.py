"""What a training that was stopped needs to go on as if it had not been, in two files: the newest and the last."""

import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seatrial.errors import RefusedFile, UsageError
from seatrial.models.read_file import read_content
from seatrial.store.files import link_or_copy, replacing
from seatrial.train.checkpoint.train_state import Standing

SNAPSHOT, PREVIOUS, DAMAGED = "snapshot.pt", "snapshot.previous.pt", "snapshot.damaged.pt"
FORMAT = "seatrial/snapshot/2"
START_AGAIN = "delete it to train from the start"
ELSEWHERE = "choose another --output, there with --resume FILE to begin with it, or --force to replace it"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state between two steps, the same whatever the number of processes.

    There is no random state: order and crops follow from seed and epoch, all else from seed, step and process.
    """

    key: str
    """What identifies the training."""
    seed: int
    network: dict[str, Any]
    average: dict[str, Any] | None
    """Of a training that averages its weights."""
    optimizer: dict[str, Any] | None
    """None where a file from elsewhere had none that fits."""
    scaler: dict[str, Any]
    """Of fp16's loss, empty otherwise."""
    standing: Standing


def save_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Write the newest snapshot; the one that was it becomes the previous, and stays it until this one is whole.

    Raises:
        StorageError: the disk is full or may not be written; what was there is as it was.
    """
    state = {
        "format": FORMAT,
        "key": snapshot.key,
        "seed": snapshot.seed,
        "network": snapshot.network,
        "average": snapshot.average,
        "optimizer": snapshot.optimizer,
        "scaler": snapshot.scaler,
        "standing": snapshot.standing.to_plain(),
    }
    # torch's own writer hides a full disk behind an error of its own.
    packed = io.BytesIO()
    torch.save(state, packed)
    newest = folder / SNAPSHOT
    with replacing(newest) as temporary:
        temporary.write_bytes(packed.getbuffer())
        if newest.exists():
            second_name = temporary.with_name(PREVIOUS)
            link_or_copy(newest, second_name)
            second_name.replace(folder / PREVIOUS)


def find_snapshot(folder: Path, key: str) -> tuple[Snapshot | None, str]:
    """The newest whole snapshot of this very training, and what a user should know about it.

    A damaged one is put aside, so that the next does not make it the previous one.

    Raises:
        UsageError: it is another training's, which this one would overwrite.
        RefusedFile: there are snapshots, and none of them is whole.
    """
    damage: list[RefusedFile] = []
    note = ""
    for path in (folder / SNAPSHOT, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            found = read_snapshot(path)
        except RefusedFile as error:
            damage.append(error)
            continue
        if damage:
            (folder / SNAPSHOT).replace(folder / DAMAGED)
            note = f"{folder / SNAPSHOT} is damaged and was put aside as {DAMAGED}; the one before it is taken"
        if found.key == key:
            return found, note
        raise UsageError(
            f"{path}, after epoch {found.standing.epoch} and {found.standing.step} steps, is of a training with other "
            "settings, data or versions",
            ELSEWHERE,
        )
    if damage:
        raise RefusedFile(damage[0].problem, START_AGAIN)
    return None, ""


def read_snapshot(path: Path) -> Snapshot:
    """The snapshot in a file; tensors come to host memory.

    Raises:
        UsageError: there is no such file.
        RefusedFile: it is damaged, or no snapshot.
    """
    state = read_content(path).value
    if not is_snapshot(state):
        raise RefusedFile(f"{path} is no snapshot of a training", START_AGAIN)
    return parse_snapshot(state, path)


def is_snapshot(state: Any) -> bool:
    """Whether what a file held says that it is one of ours."""
    return isinstance(state, dict) and state.get("format") == FORMAT


def parse_snapshot(state: dict[str, Any], path: Path) -> Snapshot:
    """The snapshot in what the file `path` held.

    Raises:
        RefusedFile: something is missing or of another kind.
    """
    try:
        return Snapshot(
            key=state["key"],
            seed=state["seed"],
            network=state["network"],
            average=state["average"],
            optimizer=state["optimizer"],
            scaler=state["scaler"],
            standing=Standing.from_plain(state["standing"], str(path)),
        )
    except (KeyError, TypeError, ValueError, UsageError):
        raise RefusedFile(f"{path} is no whole snapshot of a training", START_AGAIN) from None


def delete_snapshots(folder: Path) -> None:
    """Remove what a training that is done, or is to begin anew, has no use for."""
    for name in (SNAPSHOT, PREVIOUS, DAMAGED):
        (folder / name).unlink(missing_ok=True)
    clear_leftovers(folder)


def clear_leftovers(folder: Path) -> None:
    """Remove what a process that was killed while it wrote a snapshot left behind."""
    for path in folder.glob(f".{SNAPSHOT}.*"):
        shutil.rmtree(path, ignore_errors=True)
