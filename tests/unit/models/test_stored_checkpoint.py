"""Canonical weights: the same bytes for the same weights, whole or absent, and known again by their manifest."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from seatrial.errors import RefusedFile, StorageError, UsageError
from seatrial.models.build import build_network
from seatrial.models.checkpoint import (
    LoadedCheckpoint,
    load_checkpoint,
    load_network,
    manifest_path,
    read_stored,
    store_checkpoint,
)
from seatrial.recipes.schema import Network, Recipe
from seatrial.store.files import hash_file
from seatrial.store.records import CheckpointManifest

State = dict[str, Tensor]


@pytest.fixture
def source(tiny_state: State, tmp_path: Path) -> Path:
    without = {f"module.{key}": t for key, t in tiny_state.items() if key != "bn1.num_batches_tracked"}
    torch.save({"state_dict": without}, tmp_path / "source.pth")
    return tmp_path / "source.pth"


@pytest.fixture
def loaded(source: Path, tiny: Recipe) -> LoadedCheckpoint:
    return load_checkpoint(source, tiny)


def test_the_manifest_tells_where_the_weights_came_from(loaded: LoadedCheckpoint, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "run" / "checkpoint.safetensors"
    manifest = store_checkpoint(loaded, output)
    assert manifest == CheckpointManifest.load(output.with_name("checkpoint.safetensors.json"))
    assert manifest == CheckpointManifest(
        recipe="trial",
        network="test_resnet",
        source=str(source),
        source_sha256=hash_file(source),
        sha256=hash_file(output),
        parameters=373658,
        layout="torch zip, state_dict, module.",
        filled=("bn1.num_batches_tracked",),
    )
    assert sorted(path.name for path in output.parent.iterdir()) == [output.name, f"{output.name}.json"]


def test_weights_come_back_as_they_were(loaded: LoadedCheckpoint, source: Path, tmp_path: Path) -> None:
    store_checkpoint(loaded, tmp_path / "c.safetensors")
    back = read_stored(tmp_path / "c.safetensors")
    assert set(back) == set(loaded.state)
    assert all(
        torch.equal(back[key], tensor) and back[key].dtype == tensor.dtype for key, tensor in loaded.state.items()
    )


def test_the_same_weights_are_the_same_bytes_and_load_again(
    loaded: LoadedCheckpoint, source: Path, tiny: Recipe, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    store_checkpoint(loaded, first)
    again = load_checkpoint(first, tiny)
    assert again.manifest.layout == "safetensors, plain" and again.manifest.filled == ()
    store_checkpoint(replace(again, state=dict(reversed(again.state.items()))), second)
    assert first.read_bytes() == second.read_bytes()


def test_the_network_gives_the_logits_of_the_source(
    loaded: LoadedCheckpoint, source: Path, tiny: Recipe, tmp_path: Path
) -> None:
    store_checkpoint(loaded, tmp_path / "c.safetensors")
    network = load_network(tiny.network, tmp_path / "c.safetensors")
    expected = build_network(tiny.network).eval()
    expected.load_state_dict(dict(loaded.state))
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert not network.training
    with torch.inference_mode():
        assert torch.equal(network(x), expected(x))


def test_an_altered_file_is_refused(loaded: LoadedCheckpoint, source: Path, tiny: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    store_checkpoint(loaded, path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(RefusedFile, match="is altered or cut off: checksum mismatch"):
        load_network(tiny.network, path)


def test_another_network_does_not_take_the_weights(loaded: LoadedCheckpoint, source: Path, tmp_path: Path) -> None:
    store_checkpoint(loaded, tmp_path / "c.safetensors")
    with pytest.raises(RefusedFile, match="it has 10 classes, the recipe 11"):
        load_network(Network(name="test_resnet", classes=11), tmp_path / "c.safetensors")


def test_a_file_or_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    with pytest.raises(UsageError, match=r"there is no checkpoint .*c\.safetensors; `seatrial export`"):
        read_stored(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match=r"there is no .*c\.safetensors\.json"):
        read_stored(path)


def test_a_record_of_another_kind_is_no_manifest(loaded: LoadedCheckpoint, source: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    store_checkpoint(loaded, path)
    manifest_path(path).write_text(json.dumps({"schema": "seatrial/graph/1"}))
    with pytest.raises(UsageError, match="is a seatrial/graph/1, not a seatrial/checkpoint/1"):
        read_stored(path)


def test_what_cannot_be_written_leaves_nothing(loaded: LoadedCheckpoint, source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        store_checkpoint(loaded, tmp_path / "file" / "c.safetensors")
    assert (tmp_path / "file").read_bytes() == b""
