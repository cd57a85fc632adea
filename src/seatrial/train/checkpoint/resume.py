"""Weights and optimiser from any file that one may go on from: a snapshot of ours, or another trainer's checkpoint."""

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
from seatrial.train.checkpoint.train_state import Standing
from seatrial.train.optim import STATES, group_parameters


def read_start(path: Path, recipe: Recipe) -> tuple[Snapshot, str]:
    """What a file gives a training to begin with, and what a user should know of it.

    Raises:
        UsageError: there is no such file.
        RefusedFile: it is damaged, unsafe, or another network's.
    """
    state = read_content(path).value
    if is_snapshot(state):
        return _adapt(parse_snapshot(state, path), recipe, path)
    weights = dict(load_checkpoint(path, recipe).state)
    found = state if isinstance(state, Mapping) else {}
    epoch = found.get("epoch", 0)
    epoch = min(max(epoch, 0), recipe.train.epochs) if isinstance(epoch, int) else 0
    optimizer, note = _read_optimizer(found.get("optimizer"), recipe)
    standing = Standing(epoch=epoch, best_top1=_read_best(found.get("best_acc1")))
    return Snapshot("", recipe.train.seed, weights, None, optimizer, {}, standing), f"{path}: weights{note}" + (
        f", going on after epoch {epoch}" if epoch else ""
    )


def _adapt(snapshot: Snapshot, recipe: Recipe, path: Path) -> tuple[Snapshot, str]:
    """A snapshot as this training can use it: with other settings or data its place within an epoch means nothing."""
    check_fit(snapshot.network, sketch_network(recipe.network).state_dict(), recipe.network, path)
    standing = snapshot.standing
    note = f"{path}: a snapshot of epoch {standing.epoch}, step {standing.step}"
    optimizer = snapshot.optimizer
    if optimizer is not None and not _fits_kind(optimizer, recipe.train.optimizer):
        optimizer, note = None, f"{note}; its optimiser was another and begins anew"
    return replace(snapshot, optimizer=optimizer), note


def begin_epoch_anew(snapshot: Snapshot, key: str, epochs: int) -> Snapshot:
    """The snapshot for a training with other settings or data, where its place within an epoch means nothing."""
    was = snapshot.standing
    standing = Standing(epoch=min(was.epoch, epochs), epochs=was.epochs[:epochs], best_top1=was.best_top1)
    return replace(snapshot, key=key, standing=standing)


def _read_best(value: Any) -> float:
    """The best accuracy so far, a fraction, of one in percent."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    return float(value) / 100 if isinstance(value, int | float) and 0 <= value <= 100 else 0.0


def _read_optimizer(saved: Any, recipe: Recipe) -> tuple[dict[str, Any] | None, str]:
    """Another trainer's optimiser in our order of parameters, and what to say of it."""
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
    return None, " (the optimiser in it does not fit and begins anew)"


def _fits_kind(saved: Mapping[str, Any], kind: str) -> bool:
    state = saved.get("state")
    return isinstance(state, Mapping) and all(
        isinstance(kept, Mapping) and set(kept) == STATES[kind] for kept in state.values()
    )


def _guess_orders(names: Sequence[str]) -> Iterator[list[str]]:
    """Orders that optimisers are known to have their parameters in: as they come, or parted by name.

    pytorch/examples has one group; the guides' scripts part by 'bias' (one card) and by 'bn' (eight).
    """
    yield list(names)
    for word in ("bn", "bias"):
        with_it = [name for name in names if word in name]
        without = [name for name in names if word not in name]
        yield with_it + without
        yield without + with_it


def _has_shapes(state: Mapping[Any, Mapping[str, Any]], shapes: Sequence[torch.Size]) -> bool:
    """Whether every tensor that is kept for a parameter has its shape; counts of steps have none."""
    if not all(isinstance(index, int) and 0 <= index < len(shapes) for index in state):
        return False
    return all(
        value.shape in (shapes[index], torch.Size())
        for index, kept in state.items()
        for value in kept.values()
        if isinstance(value, torch.Tensor)
    )
