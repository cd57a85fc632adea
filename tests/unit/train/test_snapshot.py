from pathlib import Path

import pytest
import torch
from torch import nn

from full_disk import limited_files
from seatrial.errors import RefusedFile, StorageError
from seatrial.recipes.training import Train
from seatrial.store.records import Epoch
from seatrial.train.optim import make_optimizer
from seatrial.train.snapshot import Snapshot, load_snapshot, save_snapshot


def build(seed: int = 0) -> tuple[nn.Module, torch.optim.SGD]:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3))
    return network, make_optimizer(network, Train())


def train(network: nn.Module, optimizer: torch.optim.SGD, steps: range) -> None:
    for step in steps:
        inputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        network(inputs).square().sum().backward()
        optimizer.step()


def describe_epoch(number: int) -> Epoch:
    return Epoch(
        epoch=number, loss=1 / 3, train_top1=0.1, val_top1=0.2, learning_rate=0.3, images_per_s=4.5, seconds=6.7
    )


def take(network: nn.Module, optimizer: torch.optim.SGD, key: str = "k") -> Snapshot:
    return Snapshot(key, network.state_dict(), optimizer.state_dict(), (describe_epoch(1), describe_epoch(2)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A snapshot after three steps."""
    network, optimizer = build()
    train(network, optimizer, range(3))
    save_snapshot(tmp_path / "snapshot.pt", take(network, optimizer))
    return tmp_path / "snapshot.pt"


def test_a_training_goes_on_as_if_it_had_not_been_stopped(path: Path) -> None:
    through, optimizer = build()
    train(through, optimizer, range(6))
    resumed, other_optimizer = build(seed=1)
    found = load_snapshot(path, "k")
    assert found is not None
    resumed.load_state_dict(found.network)
    other_optimizer.load_state_dict(found.optimizer)
    train(resumed, other_optimizer, range(3, 6))
    for name, tensor in through.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert found.epochs == (describe_epoch(1), describe_epoch(2))


def test_no_snapshot_or_one_of_another_training_is_none(path: Path, tmp_path: Path) -> None:
    assert load_snapshot(tmp_path / "none.pt", "k") is None
    assert load_snapshot(path, "another") is None


def describe(value: object) -> object:
    """The same values without tensors."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: describe(item) for key, item in value.items()}
    return [describe(item) for item in value] if isinstance(value, list) else value


def test_a_flipped_bit_or_a_missing_end_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    saved = load_snapshot(path, "k")
    assert saved is not None
    told = r"snapshot\.pt is .*; delete it to train from the start$"
    refused = 0
    for at in range(0, len(whole), 53):
        spoiled = bytearray(whole)
        spoiled[at] ^= 1 << at % 8
        path.write_bytes(spoiled)
        try:
            found = load_snapshot(path, "k")
        except RefusedFile as error:
            assert str(error).endswith("; delete it to train from the start")
            refused += 1
        else:  # a bit that carries nothing
            assert found is not None and found.epochs == saved.epochs
            assert describe(found.network) == describe(saved.network)
            assert describe(found.optimizer) == describe(saved.optimizer)
    assert refused > len(whole) / 53 / 3
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(RefusedFile, match=told):
            load_snapshot(path, "k")


@pytest.mark.parametrize(
    "value", [{"state_dict": {}}, [1, 2], {"key": "k", "network": {}, "optimizer": {}, "epochs": [{"epoch": 1}]}, 3]
)
def test_a_file_of_something_else_is_refused(value: object, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "snapshot.pt")
    with pytest.raises(RefusedFile, match="is no snapshot of a training; delete it to train from the start"):
        load_snapshot(tmp_path / "snapshot.pt", "k")


def test_a_full_disk_leaves_the_old_snapshot(path: Path) -> None:
    before = path.read_bytes()
    network, optimizer = build(seed=2)
    with pytest.raises(StorageError, match=r"snapshot\.pt cannot be written"), limited_files(1024):
        save_snapshot(path, take(network, optimizer))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
