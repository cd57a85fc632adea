"""Wrappers, prefixes and names become the network's own; what would clash is left for the accounting to refuse."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seatrial.errors import RefusedFile
from seatrial.models.layouts import find_state
from seatrial.models.read_file import Content
from seatrial.models.reading import CheckpointReading

W = torch.ones(2, 3)
PATH = Path("x.pth")


def read(value: Any) -> tuple[dict[str, Tensor], str]:
    return find_state(Content(value, "torch zip"), PATH)


@pytest.mark.parametrize(
    ("value", "keys", "layout"),
    [
        ({"conv.weight": W}, ["conv.weight"], "plain"),
        ({"state_dict": {"conv.weight": W}, "epoch": 3}, ["conv.weight"], "state_dict"),
        ({"model": {"conv.weight": W}, "optimizer": {"state": {}}}, ["conv.weight"], "model"),
        ({"model": None, "state_dict": {"module.a": W}}, ["a"], "state_dict, module."),
        ({"state_dict": {"_orig_mod.module.a": W}}, ["a"], "state_dict, _orig_mod., module."),
        ({"best_acc": torch.tensor(0.5), "state_dict": {"a": W}}, ["a"], "state_dict"),
        ({"state_dict": {"module.a": W, "b": W}}, ["module.a", "b"], "state_dict"),
        ({"state_dict": {"backbone.a": W, "head.fc.bias": W}}, ["a", "fc.bias"], "state_dict, mmpretrain's names"),
        (
            {"backbone.layer1.0.se_layer.conv2.conv.weight": W, "head.fc.weight": W},
            ["layer1.0.se.fc2.weight", "fc.weight"],
            "plain, mmpretrain's names",
        ),
        ({"layer4.10.fc1.bias": W, "fc.bias": W}, ["layer4.10.se.fc1.bias", "fc.bias"], "plain, linear squeeze"),
        ({"epoch": 3, "model_state_dict": {"a": W}}, ["a"], "model_state_dict"),
        ({"net": {"module.a": W}, "acc": 93.1}, ["a"], "net, module."),
        ({"model": {"module": {"a": W}}, "args": None}, ["a"], "model"),
        ({"model_ema": {"shadow": {"a": W}}, "model": {"a": W}}, ["a"], "model_ema (before its model)"),
        (
            {"module.a": W, "n_averaged": torch.tensor(3), "module.total_ops": W, "module.total_params": W},
            ["a"],
            "plain, 3 counters of tools left out, module.",
        ),
    ],
)
def test_layouts_are_named_and_undone(value: Any, keys: list[str], layout: str) -> None:
    state, found = read(value)
    assert list(state) == keys
    assert found == f"torch zip, {layout}"


def test_averaged_weights_go_before_plain_ones_and_the_layout_says_so() -> None:
    state, layout = read({"state_dict": {"a": W}, "state_dict_ema": {"module.a": 2 * W}})
    assert torch.equal(state["a"], 2 * W)
    assert layout == "torch zip, state_dict_ema (before its state_dict), module."


@pytest.mark.parametrize("wrapper", ["state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema"])
def test_either_weights_can_be_chosen(wrapper: str) -> None:
    value = {"model": {"a": W}, wrapper: {"a": 2 * W}}
    content = Content(value, "torch zip")
    assert torch.equal(find_state(content, PATH)[0]["a"], 2 * W)
    assert torch.equal(find_state(content, PATH, CheckpointReading(weights="ema"))[0]["a"], 2 * W)
    assert torch.equal(find_state(content, PATH, CheckpointReading(weights="raw"))[0]["a"], W)
    with pytest.raises(RefusedFile, match="has no averaged weights but 'model'"):
        find_state(Content({"model": {"a": W}}, "torch zip"), PATH, CheckpointReading(weights="ema"))


@pytest.mark.parametrize(
    ("value", "layout"),
    [
        ({"params": {"a": W}, "params_ema": {"a": 2 * W}}, "params_ema (before its params)"),
        ({"model": {"a": W}, "averaged_model": {"a": 2 * W}}, "averaged_model (before its model)"),
        ({"model": {"a": W}, "swa_model": {"module.a": 2 * W}}, "swa_model (before its model), module."),
        ({"model_state_dict": {"a": W}, "ema_model_state_dict": {"a": 2 * W}}, "ema_model_state_dict"),
        ({"model": {"a": W}, "ema": {"decay": torch.tensor(0.9), "module": {"a": 2 * W}}}, "ema (before its model)"),
    ],
)
def test_averaged_weights_are_known_by_their_key(value: Any, layout: str) -> None:
    state, found = read(value)
    assert torch.equal(state["a"], 2 * W) and found.startswith(f"torch zip, {layout}")
    raw, _ = find_state(Content(value, "torch zip"), PATH, CheckpointReading(weights="raw"))
    assert torch.equal(raw["a"], W)


def test_two_averages_are_not_guessed_between_and_an_average_is_not_raw() -> None:
    with pytest.raises(RefusedFile, match="averaged weights at ema and swa; choose with --checkpoint-key"):
        read({"ema": {"a": W}, "swa": {"a": W}, "model": {"a": W}})
    counted = Content({"module.a": W, "n_averaged": torch.tensor(3)}, "torch zip")
    assert list(find_state(counted, PATH, CheckpointReading(weights="ema"))[0]) == ["a"]
    with pytest.raises(RefusedFile, match="has averaged weights only"):
        find_state(counted, PATH, CheckpointReading(weights="raw"))


def test_a_word_that_only_contains_the_letters_is_no_average() -> None:
    assert read({"schema": {"b": W}, "model": {"a": 2 * W}})[1] == "torch zip, model"


def test_weights_can_be_anywhere_in_the_file() -> None:
    content = Content({"gan": {"teacher": {"a": W}, "step": 3}, "x.y": {"b": W}}, "torch zip")
    assert find_state(content, PATH, CheckpointReading(key="gan.teacher")) == ({"a": W}, "torch zip, gan.teacher")
    assert list(find_state(content, PATH, CheckpointReading(key="x.y"))[0]) == ["b"]
    for key, refusal in (("gan.student", "there is 'teacher', 'step'"), ("gan.step", "no weights at"), ("q", "'gan'")):
        with pytest.raises(RefusedFile, match=refusal):
            find_state(content, PATH, CheckpointReading(key=key))


def test_a_linear_squeeze_becomes_a_convolution_and_the_classifier_does_not() -> None:
    state, _ = read({"layer1.0.fc1.weight": W, "layer1.0.fc1.bias": torch.ones(2), "fc.weight": W})
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == {
        "layer1.0.se.fc1.weight": (2, 3, 1, 1),
        "layer1.0.se.fc1.bias": (2,),
        "fc.weight": (2, 3),
    }


def test_two_keys_that_would_share_a_name_both_stay() -> None:
    value = {"layer1.0.fc1.weight": W, "layer1.0.se.fc1.weight": W}
    assert list(read(value)[0]) == list(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([W], "is a list, not named weights"),
        ({}, "has no weights but nothing"),
        (
            {"epoch": 3, "generator": {"a": W}},
            "no weights but 'epoch', 'generator'; say where they are with --checkpoint-key",
        ),
        ({"a": W, "epoch": 3}, "'epoch' among its weights is a int, not a tensor"),
        ({3: W}, "3 among its weights is no name"),
        ({"a\n\x1b[2J": W}, r"'a\n\x1b[2J' among its weights is no name"),
        ({"a": W.to_sparse()}, "'a' is sparse_coo float32 on cpu"),
        ({"a": W.to("meta")}, "'a' is strided float32 on meta"),
        ({"a": W.bool()}, "'a' is strided bool on cpu"),
        ({"a": W.to(torch.complex64)}, "'a' is strided complex64 on cpu"),
        ({"a": W.to(torch.float8_e4m3fn)}, "'a' is strided float8_e4m3fn on cpu"),
    ],
)
def test_what_is_no_plain_weight_is_refused(value: Any, message: str) -> None:
    with pytest.raises(RefusedFile) as raised:
        read(value)
    assert message in str(raised.value)


@pytest.mark.parametrize("names", [("state_dict", "best_state_dict"), ("model", "state_dict"), ("net", "model")])
def test_of_two_states_of_one_network_none_is_guessed(names: tuple[str, str], tmp_path: Path) -> None:
    path, weights = tmp_path / "two.pth", {"fc.weight": torch.ones(2, 3)}
    others = {f"module.{key}": tensor + 1 for key, tensor in weights.items()}
    for second in (weights, {"fc.weight": torch.ones(2, 4)}, {"d.weight": torch.ones(2, 3)}):
        find_state(Content({names[0]: weights, names[1]: second}, "torch zip"), path)
    with pytest.raises(RefusedFile, match=r"weights of one network at .* and .*; choose with --checkpoint-key"):
        find_state(Content({names[0]: weights, names[1]: others}, "torch zip"), path)
    reading = CheckpointReading(key=names[1])
    state, _ = find_state(Content({names[0]: weights, names[1]: others}, "torch zip"), path, reading)
    assert state["fc.weight"][0, 0] == 2


@pytest.mark.parametrize(
    ("value", "places"),
    [
        (
            {"model": {"state_dict": {"a": W}, "ema_state_dict": {"a": 2 * W}}},
            "model.state_dict and model.ema_state_dict",
        ),
        ({"ema": {"module": {"a": W}, "state_dict": {"module.a": 2 * W}}}, "ema.module and ema.state_dict"),
    ],
)
def test_of_two_states_inside_one_wrapper_none_is_guessed(value: dict[str, dict[str, Any]], places: str) -> None:
    with pytest.raises(RefusedFile, match=f"{places}; choose with --checkpoint-key"):
        read(value)
    chosen = places.rpartition(" ")[2]
    state, _ = find_state(Content(value, "torch zip"), PATH, CheckpointReading(key=chosen))
    assert torch.equal(state["a"], 2 * W)
    wrapper, name = chosen.split(".")
    value[wrapper][name] = {"a": W}
    assert torch.equal(read(value)[0]["a"], W)
