"""What may be filled in, what is converted, and that nothing else passes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from seatrial.errors import RefusedFile
from seatrial.models.account import find_difference
from seatrial.models.checkpoint import load_checkpoint
from seatrial.recipes.schema import Recipe

State = dict[str, Tensor]


def test_only_counts_of_batches_are_filled_in(tiny: Recipe, tiny_state: State, tmp_path: Path) -> None:
    old = {key: tensor for key, tensor in tiny_state.items() if not key.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    loaded = load_checkpoint(tmp_path / "old.pth", tiny)
    assert set(loaded.manifest.filled) == set(tiny_state) - set(old)
    assert list(loaded.state) == list(tiny_state)
    assert all(loaded.state[key].dtype == torch.int64 and loaded.state[key] == 0 for key in loaded.manifest.filled)


@pytest.mark.parametrize("part", ["bn1.running_mean", "fc.bias"])
def test_nothing_else_is_filled_in(part: str, tiny: Recipe, tiny_state: State, tmp_path: Path) -> None:
    del tiny_state[part]
    torch.save(tiny_state, tmp_path / "short.pth")
    with pytest.raises(
        RefusedFile, match=rf"does not fit 'test_resnet': 1 missing \({part}\); these are another network's"
    ):
        load_checkpoint(tmp_path / "short.pth", tiny)


def test_left_over_keys_are_named(tiny: Recipe, tiny_state: State, tmp_path: Path) -> None:
    torch.save(tiny_state | {"extra_a": torch.zeros(1), "extra_b": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(RefusedFile, match=r"'test_resnet': 2 left over \(extra_a, extra_b\)"):
        load_checkpoint(tmp_path / "more.pth", tiny)


def test_a_scalar_for_a_vector_is_another_shape(tiny: Recipe, tiny_state: State, tmp_path: Path) -> None:
    torch.save(tiny_state | {"fc.bias": torch.tensor(1.0)}, tmp_path / "scalar.pth")
    with pytest.raises(RefusedFile, match=r"1 of another shape \(fc\.bias scalar for 10\)"):
        load_checkpoint(tmp_path / "scalar.pth", tiny)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(dtype: torch.dtype, tiny: Recipe, tiny_state: State, tmp_path: Path) -> None:
    cast = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in tiny_state.items()}
    torch.save(cast, tmp_path / "cast.pth")
    loaded = load_checkpoint(tmp_path / "cast.pth", tiny).state
    for key, tensor in cast.items():
        assert torch.equal(loaded[key], tensor.float() if tensor.is_floating_point() else tensor)
        assert loaded[key].dtype == (torch.float32 if tensor.is_floating_point() else torch.int64)


def test_views_and_parameters_become_plain_contiguous_copies(tiny: Recipe, tiny_state: State, tmp_path: Path) -> None:
    shared = {key: torch.nn.Parameter(t) if t.is_floating_point() else t for key, t in tiny_state.items()}
    shared["conv1.0.weight"] = tiny_state["conv1.0.weight"].to(memory_format=torch.channels_last)
    torch.save(shared, tmp_path / "views.pth")
    loaded = load_checkpoint(tmp_path / "views.pth", tiny).state
    assert all(tensor.is_contiguous() and not tensor.requires_grad for tensor in loaded.values())
    assert all(type(tensor) is torch.Tensor for tensor in loaded.values())
    assert torch.equal(loaded["conv1.0.weight"], tiny_state["conv1.0.weight"])


def test_a_difference_is_false_only_when_all_fits() -> None:
    wanted = {"a": torch.zeros(2), "bn.num_batches_tracked": torch.tensor(0)}
    assert not find_difference({"a": torch.ones(2)}, wanted)
    assert find_difference({"a": torch.ones(3)}, wanted) == {"of another shape": ["a 3 for 2"]}
    assert find_difference({}, wanted) == {"missing": ["a"]}
    assert find_difference(wanted | {"b": torch.zeros(1)}, wanted) == {"left over": ["b"]}
