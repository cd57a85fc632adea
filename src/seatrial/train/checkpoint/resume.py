"""Weights and optimiser to resume from: a snapshot, or a checkpoint of another trainer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from seatrial.models.account import check_fit
from seatrial.models.build import sketch_network
from seatrial.models.checkpoint import load_checkpoint
from seatrial.models.read_file import read_content
from seatrial.recipes.schema import Recipe
from seatrial.train.checkpoint.snapshot import Snapshot, is_snapshot, parse_snapshot
from seatrial.train.checkpoint.train_state import TrainState
from seatrial.train.optim import STATES, group_parameters


def read_start(path: Path, recipe: Recipe) -> tuple[Snapshot, str]:
    """Read a file to resume from as a snapshot, with a note for the user.

    Raises:
        UsageError: there is no such file.
        RefusedFile: it is damaged, unsafe, or of another network.
    """
    content = read_content(path).value
    if is_snapshot(content):
        return _adapt(parse_snapshot(content, path), recipe, path)
    weights = dict(load_checkpoint(path, recipe).state)
    if not isinstance(content, Mapping):
        content = {}
    epoch = content.get("epoch", 0)
    epoch = min(max(epoch, 0), recipe.train.epochs) if isinstance(epoch, int) else 0
    optimizer, note = _read_optimizer(content.get("optimizer"), recipe)
    state = TrainState(epoch=epoch, best_top1=_read_best(content.get("best_acc1")))
    after = f", resuming after epoch {epoch}" if epoch else ""
    return Snapshot("", recipe.train.seed, weights, None, optimizer, {}, state), f"{path}: weights{note}{after}"


def _adapt(snapshot: Snapshot, recipe: Recipe, path: Path) -> tuple[Snapshot, str]:
    """A snapshot as this training can use it, and a note: an optimiser of another kind is left out."""
    check_fit(snapshot.network, sketch_network(recipe.network).state_dict(), recipe.network, path)
    note = f"{path}: a snapshot of epoch {snapshot.train_state.epoch}, step {snapshot.train_state.step}"
    optimizer = snapshot.optimizer
    if optimizer is not None and not _fits_kind(optimizer, recipe.train.optimizer):
        optimizer, note = None, f"{note}; it had another optimiser, so {recipe.train.optimizer} starts afresh"
    return replace(snapshot, optimizer=optimizer), note


def begin_epoch_anew(snapshot: Snapshot, key: str, epochs: int) -> Snapshot:
    """The snapshot for a training with other settings or data, whose steps within an epoch would not be the same."""
    was = snapshot.train_state
    state = TrainState(epoch=min(was.epoch, epochs), epochs=was.epochs[:epochs], best_top1=was.best_top1)
    return replace(snapshot, key=key, train_state=state)


def _read_best(value: Any) -> float:
    """The best accuracy so far as a fraction, from a percentage."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    return float(value) / 100 if isinstance(value, int | float) and 0 <= value <= 100 else 0.0


def _read_optimizer(saved: Any, recipe: Recipe) -> tuple[dict[str, Any] | None, str]:
    """The optimiser state of another trainer in our order of parameters, and a note."""
    if not isinstance(saved, Mapping) or not saved.get("state"):
        return None, ""
    sketch = sketch_network(recipe.network)
    shapes = {name: parameter.shape for name, parameter in sketch.named_parameters()}
    ours = [name for group in group_parameters(sketch) for name, _ in group]
    if _fits_kind(saved, recipe.train.optimizer):
        for theirs in _guess_orders(list(shapes)):
            if _has_shapes(saved["state"], [shapes[name] for name in theirs]):
                by_name = {theirs[index]: value for index, value in saved["state"].items()}
                state = {index: by_name[name] for index, name in enumerate(ours) if name in by_name}
                return {"state": state}, " and optimiser"
    return None, f" (its optimiser state does not fit, so {recipe.train.optimizer} starts afresh)"


def _fits_kind(saved: Mapping[str, Any], kind: str) -> bool:
    state = saved.get("state")
    return isinstance(state, Mapping) and all(
        isinstance(kept, Mapping) and set(kept) == STATES[kind] for kept in state.values()
    )


def _guess_orders(names: Sequence[str]) -> Iterator[list[str]]:
    """Orders that optimisers are known to have their parameters in: the network's, or split by name.

    pytorch/examples has one group; the guides' scripts split by 'bias' (one card) and by 'bn' (eight).
    """
    yield list(names)
    for word in ("bn", "bias"):
        yield sorted(names, key=lambda name: word not in name)
        yield sorted(names, key=lambda name: word in name)


def _has_shapes(state: Mapping[Any, Mapping[str, Any]], shapes: Sequence[torch.Size]) -> bool:
    """Whether every tensor in the state of a parameter has its shape; step counters are scalars."""
    if not all(isinstance(index, int) and 0 <= index < len(shapes) for index in state):
        return False
    return all(
        value.shape in (shapes[index], torch.Size())
        for index, kept in state.items()
        for value in kept.values()
        if isinstance(value, torch.Tensor)
    )
