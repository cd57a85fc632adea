from pathlib import Path

import pytest
import torch
from torch import nn

from full_disk import limited_files
from seatrial.errors import RefusedFile, StorageError, UsageError
from seatrial.recipes.training import Train
from seatrial.store.training import Epoch
from seatrial.train.checkpoint.snapshot import Snapshot, find_snapshot, read_snapshot, save_snapshot
from seatrial.train.checkpoint.snapshot_files import clear_leftovers, delete_snapshots
from seatrial.train.checkpoint.train_state import EpochSums, SpeedSums, TrainState
from seatrial.train.optim import load_optimizer, make_optimizer


def build(seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3))
    return network, make_optimizer(network, Train())


def train(network: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        inputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        network(inputs).square().sum().backward()
        optimizer.step()


def describe_epoch(number: int) -> Epoch:
    return Epoch(
        epoch=number, loss=1 / 3, train_top1=0.1, val_top1=0.2, learning_rate=0.3, images_per_s=4.5, seconds=6.7
    )


def make_state(step: int = 3) -> TrainState:
    return TrainState(
        epoch=2,
        step=step,
        sums=EpochSums(loss=1 / 7, images=12, hits1=3, hits5=5, seconds=0.1, data_s=0.01),
        epochs=(describe_epoch(1), describe_epoch(2)),
        best_top1=0.2,
        pace=SpeedSums(images=8, steps=2, skipped_steps=1, seconds=0.3, data_s=0.1),
        resumed=1,
    )


def take(network: nn.Module, optimizer: torch.optim.Optimizer, key: str = "k", step: int = 3) -> Snapshot:
    return Snapshot(key, 7, network.state_dict(), None, optimizer.state_dict(), {"scale": 2.0}, make_state(step))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two snapshots, after two steps and after three."""
    network, optimizer = build()
    train(network, optimizer, range(2))
    save_snapshot(tmp_path, take(network, optimizer, step=2))
    train(network, optimizer, range(2, 3))
    save_snapshot(tmp_path, take(network, optimizer))
    return tmp_path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_training_goes_on_as_if_it_had_not_been_stopped(folder: Path) -> None:
    through, optimizer = build()
    train(through, optimizer, range(6))
    resumed, other_optimizer = build(seed=1)
    found, note = find_snapshot(folder, "k")
    assert found is not None and found.optimizer is not None and note == ""
    resumed.load_state_dict(found.network)
    load_optimizer(other_optimizer, found.optimizer)
    train(resumed, other_optimizer, range(3, 6))
    for name, tensor in through.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert (found.train_state, found.seed, found.scaler) == (make_state(), 7, {"scale": 2.0})


def test_the_rate_of_a_resumed_training_is_of_no_two_devices() -> None:
    pace = SpeedSums(images=8, steps=2, skipped_steps=1, seconds=0.3, data_s=0.1, setup="1 on cpu")
    assert pace.resume_on("1 on cpu") is pace
    assert pace.resume_on("2 on cpu") == SpeedSums(setup="2 on cpu")
    saved = make_state().state_dict()
    del saved["pace"]["setup"]
    older = TrainState.from_state_dict(saved, "a snapshot of an earlier version").pace
    assert older.steps == 2 and older.resume_on("1 on cpu").steps == 0


def test_where_there_is_no_snapshot_none_is_found(tmp_path: Path) -> None:
    assert find_snapshot(tmp_path / "none", "k") == (None, "")


def test_another_trainings_snapshot_is_not_given_up(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"snapshot\.pt \(epoch 2, step 3\) is of a training with other"):
        find_snapshot(folder, "another")


def describe(value: object) -> object:
    """The same values without tensors."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: describe(item) for key, item in value.items()}
    return [describe(item) for item in value] if isinstance(value, list) else value


def test_a_flipped_bit_or_a_missing_end_is_refused(folder: Path) -> None:
    path = folder / "snapshot.pt"
    whole = path.read_bytes()
    saved = read_snapshot(path)
    refused = 0
    for at in range(0, len(whole), 53):
        spoiled = bytearray(whole)
        spoiled[at] ^= 1 << at % 8
        path.write_bytes(spoiled)
        try:
            found = read_snapshot(path)
        except RefusedFile:
            refused += 1
        else:  # a bit that carries nothing
            assert found.train_state == saved.train_state
            assert describe(found.network) == describe(saved.network)
            assert describe(found.optimizer) == describe(saved.optimizer)
    assert refused > len(whole) / 53 / 3
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(RefusedFile, match=r"snapshot\.pt is "):
            read_snapshot(path)


def test_a_damaged_snapshot_is_put_aside_for_the_one_before_it(folder: Path) -> None:
    (folder / "snapshot.pt").write_bytes((folder / "snapshot.pt").read_bytes()[:-100])
    found, note = find_snapshot(folder, "k")
    assert found is not None and found.train_state.step == 2
    assert note.endswith("snapshot.pt is damaged and now called snapshot.damaged.pt; resuming from the one before it")
    assert names_in(folder) == ["snapshot.damaged.pt", "snapshot.previous.pt"]
    # What is saved next does not make the damaged one the previous.
    network, optimizer = build()
    save_snapshot(folder, take(network, optimizer))
    assert read_snapshot(folder / "snapshot.previous.pt").train_state.step == 2


def test_without_a_whole_one_the_user_decides(folder: Path) -> None:
    for name in ("snapshot.pt", "snapshot.previous.pt"):
        (folder / name).write_bytes(b"PK")
    with pytest.raises(RefusedFile, match=r"snapshot\.pt is .*; delete it to train from the start$"):
        find_snapshot(folder, "k")


@pytest.mark.parametrize(
    "value", [{"state_dict": {}}, [1, 2], {"format": "seatrial/snapshot/2", "key": "k", "network": {}}, 3]
)
def test_a_file_of_something_else_is_refused(value: object, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "snapshot.pt")
    with pytest.raises(
        RefusedFile, match=r"is not a (whole )?snapshot of a training; delete it to train from the start"
    ):
        find_snapshot(tmp_path, "k")


def test_a_full_disk_leaves_both_snapshots(folder: Path) -> None:
    before = {name: (folder / name).read_bytes() for name in names_in(folder)}
    network, optimizer = build(seed=2)
    with pytest.raises(StorageError, match=r"snapshot\.pt cannot be written"), limited_files(1024):
        save_snapshot(folder, take(network, optimizer))
    assert {name: (folder / name).read_bytes() for name in names_in(folder)} == before


def test_what_a_killed_process_left_is_cleared(folder: Path) -> None:
    left = folder / ".snapshot.pt.abc"
    left.mkdir()
    (left / "snapshot.pt").write_bytes(b"half")
    clear_leftovers(folder)
    assert names_in(folder) == ["snapshot.previous.pt", "snapshot.pt"]
    delete_snapshots(folder)
    assert names_in(folder) == []
