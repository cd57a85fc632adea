"""Files that are not the weights they should be: each is refused with its own reason, and nothing in it is run."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seatrial.errors import RefusedFile, SeatrialError
from seatrial.models.build import change_classes, sketch_network
from seatrial.models.checkpoint import load_checkpoint
from seatrial.models.sources import resolve_recipe
from seatrial.recipes.load import load_recipe
from seatrial.recipes.schema import Recipe

State = dict[str, Tensor]
SENTINEL = Path("sentinel")


class Malicious:
    """Unpickled with trust, it makes a file."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {SENTINEL}",)


def zeros_of(card: str, classes: int = 1000) -> State:
    """A network's weights as zeros that share one number, which keeps the files small."""
    state = sketch_network(change_classes(load_recipe(card).network, classes)).state_dict()
    return {key: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for key, tensor in state.items()}


def another_network(path: Path) -> None:
    torch.save(zeros_of("resnext50_32x4d"), path)


def ten_classes(path: Path) -> None:
    torch.save(zeros_of("resnet50", classes=10), path)


def detector(path: Path) -> None:
    backbone = {f"backbone.{k}": v for k, v in zeros_of("resnet50").items() if not k.startswith("fc.")}
    others = {
        "neck.lateral_conv.weight": torch.zeros(512, 2048, 1, 1),
        "bbox_head.cls_score.weight": torch.zeros(80, 512),
    }
    torch.save({"meta": {"epoch": 9}, "state_dict": backbone | others}, path)


def truncated(path: Path) -> None:
    torch.save({"w": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:-2000])


def flipped_bit(path: Path) -> None:
    torch.save({"w": torch.full((1000,), 1.5)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((9,), 1.5).numpy().tobytes()) + 401] ^= 1
    path.write_bytes(content)


def web_page(path: Path) -> None:
    path.write_bytes(b"\n<!DOCTYPE html><html><body>Sign in to download</body></html>")


def lfs_pointer(path: Path) -> None:
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0676ba61\nsize 102530333\n")


def malicious(path: Path) -> None:
    torch.save({"state_dict": zeros_of("resnet50"), "best": Malicious()}, path)


def malicious_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Malicious(), protocol=2))


def not_numbers(path: Path) -> None:
    state = zeros_of("resnet50")
    state["layer4.0.conv2.weight"] = state["layer4.0.conv2.weight"].clone()
    state["layer4.0.conv2.weight"][0, 0, 0, :2] = torch.tensor([torch.nan, torch.inf])
    torch.save(state, path)


def overflowing(path: Path) -> None:
    state = zeros_of("resnet50")
    state["fc.bias"] = torch.full((1000,), 1e200, dtype=torch.float64)
    torch.save(state, path)


def empty(path: Path) -> None:
    path.touch()


def missing_layer(path: Path) -> None:
    torch.save({k: v for k, v in zeros_of("resnet50").items() if not k.startswith("layer3.5.")}, path)


def sparse(path: Path) -> None:
    state = zeros_of("resnet50")
    state["fc.weight"] = state["fc.weight"].to_sparse()
    torch.save(state, path)


def whole_module(path: Path) -> None:
    torch.save({"model": torch.nn.Linear(2, 2)}, path)


def numpy_archive(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, kernel=np.zeros(3))


def another_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("resnet50.pth", b"weights")


def quantised(path: Path) -> None:
    state = zeros_of("resnet50")
    state["fc.weight"] = state["fc.weight"].to(torch.int8)
    torch.save(state, path)


def unknown(path: Path) -> None:
    path.write_bytes(bytes(4096))


def folder(path: Path) -> None:
    path.mkdir()


def absent(path: Path) -> None:
    pass


WRONG = [
    (another_network, 8, "176 of another shape (layer1.0.conv1.weight 128×64×1×1 for 64×64×1×1,"),
    (another_network, 8, "it fits the network of recipe 'resnext50_32x4d' with 1000 classes"),
    (ten_classes, 8, "it has 10 classes, the recipe 1000"),
    (detector, 8, "these are a detector's weights (backbone, bbox_head, neck)"),
    (truncated, 8, "is cut off, damaged or not only weights (File is not a zip file)"),
    (flipped_bit, 8, "is damaged: the checksum of its record"),
    (web_page, 8, "is a web page"),
    (lfs_pointer, 8, "is a Git LFS pointer, not the weights; run `git lfs pull`"),
    (malicious, 8, "would run 'posix.system' from the file"),
    (malicious_pickle, 8, "would run 'posix.system' from the file"),
    (not_numbers, 8, "'layer4.0.conv2.weight' has 2 of 2,359,296 weights that are NaN or infinite"),
    (overflowing, 8, "'fc.bias' has 1,000 of 1,000 weights that are NaN or infinite"),
    (empty, 8, "is empty"),
    (missing_layer, 8, "15 missing (layer3.5.conv1.weight, layer3.5.bn1.weight, layer3.5.bn1.bias and 12 more)"),
    (sparse, 8, "'fc.weight' is sparse_coo float32 on cpu"),
    (whole_module, 8, "would run 'torch.nn.modules.linear.Linear' from the file"),
    (numpy_archive, 8, "is a NumPy archive (.npz), not one of torch.save's"),
    (another_archive, 8, "is a zip archive, but not one of torch.save's"),
    (quantised, 8, "'fc.weight' is int8, not float32"),
    (unknown, 8, "is no checkpoint (it begins with 00 00 00 00 00 00 00 00)"),
    (folder, 2, "is a folder"),
    (absent, 2, "there is no checkpoint"),
]


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_weights_for_other_classes_are_known_whatever_the_network(name: str, tmp_path: Path) -> None:
    recipe = resolve_recipe(f"timm:{name}")
    torch.save(
        sketch_network(change_classes(recipe.network, 7)).to_empty(device="cpu").state_dict(), tmp_path / "w.pth"
    )
    with pytest.raises(RefusedFile, match="it has 7 classes, the recipe 1000: give --classes 7 where"):
        load_checkpoint(tmp_path / "w.pth", recipe)


@pytest.mark.parametrize(("make", "exit_code", "phrase"), WRONG, ids=[make.__name__ for make, *_ in WRONG])
def test_wrong_checkpoints_are_refused_with_their_reason(
    make: Callable[[Path], None],
    exit_code: int,
    phrase: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "wrong.pth"
    make(path)
    with pytest.raises(SeatrialError) as raised:
        load_checkpoint(path, load_recipe("resnet50"))
    assert phrase in str(raised.value)
    assert raised.value.exit_code == exit_code
    assert "\n" not in str(raised.value)
    assert not SENTINEL.exists()


def test_the_malicious_object_would_make_its_file_if_it_were_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    malicious_pickle(Path("trusted"))
    pickle.loads(Path("trusted").read_bytes())
    assert SENTINEL.exists()


def test_forcing_unsafe_loads_from_outside_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Recipe
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save({"best": Malicious()}, "wrong.pth")
    with pytest.raises(SeatrialError, match=r"would run 'posix\.system'"):
        load_checkpoint(Path("wrong.pth"), tiny)
    assert not SENTINEL.exists()
