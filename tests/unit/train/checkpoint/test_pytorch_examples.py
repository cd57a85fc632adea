"""The guides' checkpoint files: main.py's optimiser takes them, and so does `seatrial export`."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from full_disk import limited_files
from seatrial.cli import run_cli
from seatrial.errors import StorageError
from seatrial.models.build import build_network
from seatrial.recipes import load_recipe
from seatrial.recipes.training import Train
from seatrial.train.checkpoint.pytorch_examples import (
    BEST,
    LAST,
    GuideCheckpointHook,
    join_groups,
    save_guide_checkpoint,
)
from seatrial.train.checkpoint.snapshot import Snapshot
from seatrial.train.checkpoint.train_state import TrainState
from seatrial.train.optim import make_optimizer
from tiny_trial import TinyTrial


def make_network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def train_step(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    network(torch.ones(2, 3, 3, 3)).square().sum().backward()
    optimizer.step()


def join(optimizer: torch.optim.Optimizer, network: nn.Module) -> dict[str, object]:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    ours = [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    return join_groups(optimizer.state_dict(), ours, list(names.values()))


def make_content(value: float) -> dict[str, object]:
    return {"arch": "resnet50", "state_dict": {"fc.weight": torch.full((2,), value)}}


def load(path: Path) -> dict[str, object]:
    return torch.load(path, weights_only=True)  # type: ignore[no-any-return]


def test_keys_and_units_are_theirs(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    recipe = load_recipe(str(tiny_trial.card))
    weights = {"fc.weight": torch.ones(2)}
    state = TrainState(epoch=1, best_top1=0.76702)
    GuideCheckpointHook(tmp_path, recipe)(Snapshot("k", 0, weights, None, None, {}, state))
    found = load(tmp_path / LAST)
    assert list(found) == ["epoch", "arch", "state_dict", "best_acc1", "optimizer"]
    assert (found["epoch"], found["arch"], found["optimizer"]) == (1, recipe.network.name, {})
    assert torch.equal(found["state_dict"]["fc.weight"], weights["fc.weight"])  # type: ignore[index]
    assert float(found["best_acc1"]) == pytest.approx(76.702)  # type: ignore[arg-type]
    assert load(tmp_path / BEST)["arch"] == recipe.network.name


def test_the_best_stays_when_a_worse_one_comes(tmp_path: Path) -> None:
    save_guide_checkpoint(tmp_path, make_content(1.0), is_best=True)
    save_guide_checkpoint(tmp_path, make_content(2.0), is_best=False)
    values = [float(load(tmp_path / name)["state_dict"]["fc.weight"][0]) for name in (LAST, BEST)]  # type: ignore[index]
    assert values == [2.0, 1.0]


def test_a_full_disk_leaves_both_as_they_were(tmp_path: Path) -> None:
    save_guide_checkpoint(tmp_path, make_content(1.0), is_best=True)
    before = [(tmp_path / name).read_bytes() for name in (LAST, BEST)]
    with limited_files(100), pytest.raises(StorageError, match=LAST):
        save_guide_checkpoint(tmp_path, make_content(2.0), is_best=True)
    assert [(tmp_path / name).read_bytes() for name in (LAST, BEST)] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [LAST, BEST]


def test_the_optimiser_of_main_py_goes_on_with_the_state() -> None:
    """Without weight decay our groups and their one do the same, so the next step must be the same too."""
    ours = make_network()
    settings = Train(momentum=0.9, weight_decay=0.0, nesterov=True, learning_rate=0.01)
    optimizer = make_optimizer(ours, settings)
    train_step(ours, optimizer)
    theirs = make_network()
    theirs.load_state_dict(ours.state_dict())
    main_py = torch.optim.SGD(theirs.parameters(), 0.5, momentum=0.1, weight_decay=0.5)
    # As from a file: torch would let both write to the same momentum.
    main_py.load_state_dict(deepcopy(join(optimizer, ours)))
    assert "share" not in main_py.param_groups[0]
    for network, one in ((ours, optimizer), (theirs, main_py)):
        train_step(network, one)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


def test_an_optimiser_that_made_no_step_has_an_empty_state() -> None:
    network = make_network()
    joined = join(make_optimizer(network, Train()), network)
    assert joined["state"] == {}
    assert joined["param_groups"][0]["params"] == list(range(6))  # type: ignore[index]


@pytest.mark.parametrize("name", [LAST, BEST])
def test_export_takes_them_with_no_further_option(name: str, tiny_trial: TinyTrial, tmp_path: Path) -> None:
    network = build_network(load_recipe(str(tiny_trial.card)).network)
    network.load_state_dict(torch.load(tiny_trial.checkpoint, weights_only=True))
    optimizer = make_optimizer(network, Train())
    network(torch.ones(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    snapshot = Snapshot("k", 0, network.state_dict(), None, optimizer.state_dict(), {}, TrainState(epoch=2))
    GuideCheckpointHook(tmp_path, load_recipe(str(tiny_trial.card)))(snapshot)
    words = ["export", str(tiny_trial.card), "--checkpoint", str(tmp_path / name), "--output", str(tmp_path / "m.onnx")]
    assert run_cli(words) == 0
