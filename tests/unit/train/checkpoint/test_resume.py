"""What a training may begin with: our snapshots, and other trainers' checkpoints."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seatrial.errors import RefusedFile
from seatrial.models.build import build_network
from seatrial.recipes import Recipe, load_recipe
from seatrial.train.checkpoint.resume import begin_epoch_anew, read_start
from seatrial.train.checkpoint.snapshot import Snapshot, save_snapshot
from seatrial.train.checkpoint.train_state import EpochSums, TrainState
from seatrial.train.optim import load_optimizer, make_optimizer
from tiny_training import make_card
from tiny_trial import TinyTrial


@pytest.fixture(scope="module")
def recipe(tiny_trial: TinyTrial) -> Recipe:
    return load_recipe(str(make_card(tiny_trial, "test_resnet")))


def split_by(word: str, names: list[str]) -> list[list[str]]:
    return [[n for n in names if word in n], [n for n in names if word not in n]]


def write_guides(path: Path, network: nn.Module, groups: list[list[str]], **more: Any) -> None:
    """A checkpoint as pytorch/examples and the guides write it, of a training on two steps of made up gradients."""
    parameters = dict(network.named_parameters())
    optimizer = torch.optim.SGD([{"params": [parameters[n] for n in g]} for g in groups if g], lr=0.1, momentum=0.9)
    for index, parameter in enumerate(parameters.values()):
        parameter.grad = torch.full_like(parameter, float(index))
    optimizer.step()
    saved = {
        "epoch": 1,
        "arch": "resnet18",
        "state_dict": {f"module.{name}": tensor for name, tensor in network.state_dict().items()},
        "best_acc1": torch.tensor(62.5),
        "optimizer": optimizer.state_dict(),
    }
    torch.save({**saved, **more}, path)


@pytest.mark.parametrize("parted", ["", "bn", "bias"])
def test_a_guides_checkpoint_gives_weights_epoch_and_optimiser(parted: str, recipe: Recipe, tmp_path: Path) -> None:
    network = build_network(recipe.network)
    names = [name for name, _ in network.named_parameters()]
    write_guides(tmp_path / "checkpoint.pth.tar", network, split_by(parted, names) if parted else [names])
    start, note = read_start(tmp_path / "checkpoint.pth.tar", recipe)
    assert note.endswith("checkpoint.pth.tar: weights and optimiser, resuming after epoch 1")
    assert (start.train_state.epoch, start.train_state.best_top1) == (1, 0.625)
    for name, tensor in network.state_dict().items():
        assert torch.equal(start.network[name], tensor)
    optimizer = make_optimizer(network, recipe.train)
    assert start.optimizer is not None
    load_optimizer(optimizer, start.optimizer)
    velocity = {name: optimizer.state[p]["momentum_buffer"] for name, p in network.named_parameters()}
    assert all((velocity[name] == index).all() for index, name in enumerate(names))


def test_what_does_not_fit_is_noted_and_left(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth.tar"
    network = build_network(recipe.network)
    write_guides(path, network, [[name for name, _ in network.named_parameters()][::-1]], epoch=500)
    start, note = read_start(path, recipe)
    assert start.optimizer is None and "its optimiser state does not fit, so sgd starts afresh" in note
    # More epochs than this training has.
    assert start.train_state.epoch == recipe.train.epochs
    other = recipe.model_copy(update={"train": recipe.train.model_copy(update={"optimizer": "adamw"})})
    write_guides(path, network, [[name for name, _ in network.named_parameters()]])
    assert read_start(path, other)[0].optimizer is None


def test_plain_weights_are_a_beginning(recipe: Recipe, tmp_path: Path) -> None:
    torch.save(build_network(recipe.network).state_dict(), tmp_path / "weights.pth")
    start, note = read_start(tmp_path / "weights.pth", recipe)
    assert note.endswith("weights.pth: weights") and start.train_state == TrainState()


def test_another_networks_weights_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 4).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(RefusedFile, match="does not fit 'test_resnet'"):
        read_start(tmp_path / "weights.pth", recipe)


def make_snapshot(recipe: Recipe) -> Snapshot:
    network = build_network(recipe.network)
    optimizer = make_optimizer(network, recipe.train)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state = TrainState(epoch=1, step=2, sums=EpochSums(loss=3.0, images=4), best_top1=0.5)
    return Snapshot("k", 0, network.state_dict(), None, optimizer.state_dict(), {}, state)


def test_a_snapshot_of_ours_keeps_its_step_or_starts_its_epoch_again(recipe: Recipe, tmp_path: Path) -> None:
    save_snapshot(tmp_path, make_snapshot(recipe))
    start, note = read_start(tmp_path / "snapshot.pt", recipe)
    assert start.key == "k" and start.train_state.step == 2 and note.endswith("a snapshot of epoch 1, step 2")
    anew = begin_epoch_anew(start, "other", epochs=5)
    assert anew.key == "other" and anew.train_state == TrainState(epoch=1, best_top1=0.5)
    assert anew.network is start.network and anew.optimizer is start.optimizer


def test_a_snapshot_of_another_network_or_optimiser_is_noted(
    recipe: Recipe, tiny_trial: TinyTrial, tmp_path: Path
) -> None:
    save_snapshot(tmp_path, make_snapshot(recipe))
    with pytest.raises(RefusedFile, match="does not fit 'test_convnext'"):
        read_start(tmp_path / "snapshot.pt", load_recipe(str(make_card(tiny_trial, "test_convnext"))))
    other = recipe.model_copy(update={"train": recipe.train.model_copy(update={"optimizer": "adamw"})})
    start, note = read_start(tmp_path / "snapshot.pt", other)
    assert start.optimizer is None and note.endswith("it had another optimiser, so adamw starts afresh")
