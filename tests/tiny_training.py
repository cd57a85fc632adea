"""Trainings small enough for tests, and what other processes do in them; here so that spawned ones find it by name."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from forked_processes import start_fork
from seatrial.data.images import LabelledImage
from seatrial.errors import ExitCode, SeatrialError
from seatrial.progress import Progress, Update
from seatrial.recipes import Recipe
from seatrial.store.files import replacing
from seatrial.workflow.train import train_recipe
from seatrial.workflow.train_spec import TrainSpec
from tiny_trial import CLASSES, NETWORK, TinyTrial

FAST = {"amp": "off", "batch_size": 12}
"""On any machine the same arithmetic."""


def make_card(trial: TinyTrial, network: str, **train: Any) -> Path:
    """The trial's card for another network: test_resnet is small, test_convnext small and without BatchNorm."""
    card = trial.folder / f"{network}.toml"
    if not card.exists():
        with replacing(card) as temporary:
            temporary.write_text(trial.card.read_text().replace(NETWORK, network))
    return card


def make_data(trial: TinyTrial, folder: Path, val: int) -> Path:
    """The trial's training images, and `val` held-out ones, each under several names."""
    folder.mkdir(parents=True)
    (folder / "train").symlink_to(trial.folder / "train")
    images = sorted(trial.images.iterdir())
    for index in range(val):
        image = images[index % len(images)]
        of_class = folder / "val" / f"class_{index % CLASSES}"
        of_class.mkdir(parents=True, exist_ok=True)
        (of_class / f"{index:03d}.JPEG").symlink_to(image)
    return folder


def start_training(spec: TrainSpec) -> tuple[BaseProcess, Connection]:
    """Train in a process of its own; it sends its updates as text, and ends with the command's exit code.

    All such processes are forked from one that has torch loaded.
    """
    here, there = multiprocessing.Pipe(duplex=False)
    process = start_fork(_train, spec, there)
    there.close()
    return process, here


def read_until(messages: Connection, word: str) -> bool:
    """Wait until a process sends a message with `word` in it; False if it ends before."""
    try:
        while word not in messages.recv():
            pass
    except EOFError:
        return False
    return True


def _train(spec: TrainSpec, messages: Connection) -> None:
    def send(update: Update) -> None:
        messages.send(update.note or f"{update.stage} {update.done}")

    try:
        train_recipe(spec, send)
    except SeatrialError as error:
        messages.send(str(error))
        sys.exit(error.exit_code)


def return_or_fail(how: str, progress: Progress) -> str:
    """What a launched process does in `test_launch`: the second of two fails in one of several ways."""
    rank = os.environ["RANK"]
    progress(Update("train", note=f"{rank} of {os.environ['WORLD_SIZE']}"))
    if rank == "1" and how == "user error":
        raise SeatrialErrorOfTest("there is no such thing", "look elsewhere")
    if rank == "1" and how == "bug":
        raise ZeroDivisionError("a bug of ours")
    if rank == "1" and how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how != "well":
        signal.pause()
    return f"result of {rank} in {Path.cwd()}"


class SeatrialErrorOfTest(SeatrialError):
    """An error with an exit code that no other error has."""

    exit_code = ExitCode.SPEED


def validate_sets(recipe: Recipe, images: Sequence[LabelledImage], counts: Sequence[int], progress: Progress) -> Any:
    """Validate a fresh network on the first images of a set, so many each time: (images, top-1, top-5, loss)."""
    from seatrial.train.distributed.process_group import join_process_group
    from seatrial.train.network import TrainedNetwork
    from seatrial.train.validate import Validator

    with join_process_group(recipe.train) as group:
        network = TrainedNetwork(recipe, group)
        found = []
        for count in counts:
            validation, _ = Validator(recipe, images[:count], group, progress).run(network, lambda: False)
            hits = (validation.top1 * validation.images, validation.top5 * validation.images)
            found.append((validation.images, *hits, validation.loss))
        return found


def exchange(progress: Progress) -> dict[str, Any]:
    """Everything that processes exchange, for `test_process_group`; what the first one received."""
    import torch

    from seatrial.errors import DataError
    from seatrial.recipes.training import Train
    from seatrial.train.distributed.process_group import join_process_group

    with join_process_group(Train()) as group:
        rank = group.rank
        tensor, buffer = torch.full((2,), float(rank + 1)), torch.full((2,), rank)
        group.broadcast_tensors([buffer])
        received: dict[str, Any] = {
            "all_gather": group.all_gather([rank, 10 * rank]).tolist(),
            "sync": [part if isinstance(part, bool) else part.tolist() for part in group.sync(None, rank == 1, rank)],
            "all_reduce": group.all_reduce(tensor).tolist(),
            "broadcast_tensors": group.all_gather_object(buffer.tolist()),
            "broadcast": group.all_gather_object(group.broadcast(f"from {rank}")),
            "threads": torch.get_num_threads(),
        }
        try:
            with group.raise_on_all():
                if rank == 1:
                    raise DataError("process 1 has it")
        except DataError as error:
            received["raise_on_all"] = group.all_gather_object((str(error), error.reported))
        try:
            group.sync(DataError("and again") if rank == 1 else None, False)
        except DataError as error:
            received["sync_error"] = str(error)
        return received
