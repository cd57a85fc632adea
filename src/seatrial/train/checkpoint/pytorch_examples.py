"""`checkpoint.pth.tar` and `model_best.pth.tar` as pytorch/examples' main.py and the guides' scripts write them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from seatrial.models.build import sketch_network
from seatrial.recipes.schema import Recipe
from seatrial.store.files import link_or_copy, replacing
from seatrial.train.checkpoint.snapshot import Snapshot, pack_state
from seatrial.train.optim import group_parameters

LAST, BEST = "checkpoint.pth.tar", "model_best.pth.tar"
_OURS = frozenset({"share"})
"""Keys that only groups of our optimisers have."""


class GuideCheckpointHook:
    """Writes both files after each epoch, with the weights that were validated."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        sketch = sketch_network(recipe.network)
        self.folder, self.arch = folder, recipe.network.name
        self.ours = [name for group in group_parameters(sketch) for name, _ in group]
        self.theirs = [name for name, _ in sketch.named_parameters()]

    def __call__(self, snapshot: Snapshot) -> None:
        """Write the state between two epochs."""
        state = snapshot.train_state
        content = {
            # Whole epochs so far, which is the number of the next one, from 0.
            "epoch": state.epoch,
            "arch": self.arch,
            "state_dict": snapshot.network if snapshot.average is None else snapshot.average,
            # Their scripts move it to a device, so it is a tensor, and it is in percent.
            "best_acc1": torch.tensor(100 * state.best_top1),
            "optimizer": join_groups(snapshot.optimizer, self.ours, self.theirs) if snapshot.optimizer else {},
        }
        last = state.epochs[-1].val_top1 if state.epochs else None
        save_guide_checkpoint(self.folder, content, is_best=last is None or last >= state.best_top1)


def save_guide_checkpoint(folder: Path, content: Mapping[str, Any], is_best: bool) -> None:
    """Write the checkpoint, and link it under its second name if it is the best so far; each is whole or as it was.

    Raises:
        StorageError: the disk is full or may not be written.
    """
    with replacing(folder / LAST) as temporary:
        temporary.write_bytes(pack_state(content))
    if is_best:
        with replacing(folder / BEST) as temporary:
            link_or_copy(folder / LAST, temporary)


def join_groups(state: Mapping[str, Any], ours: Sequence[str], theirs: Sequence[str]) -> dict[str, Any]:
    """The state of an optimiser as if it had one group of all parameters, as theirs has.

    Our groups differ in weight decay and rate; the one group has those of the first.

    Args:
        ours: names of the parameters in the order of our groups.
        theirs: the same names in the order of the network.
    """
    number = {name: index for index, name in enumerate(ours)}
    states = {i: state["state"][number[name]] for i, name in enumerate(theirs) if number[name] in state["state"]}
    first = {name: value for name, value in state["param_groups"][0].items() if name not in _OURS}
    return {"state": states, "param_groups": [{**first, "params": list(range(len(theirs)))}]}
