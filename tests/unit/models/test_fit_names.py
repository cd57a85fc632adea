"""Frameworks' prefixes and moved heads become the network's names, and what is dropped or renamed is said."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from fake_engine import make_recipe
from seatrial.errors import RefusedFile
from seatrial.models.build import build_network
from seatrial.models.checkpoint import load_checkpoint
from seatrial.models.fit_names import fit_names
from seatrial.models.reading import AS_IT_IS, CheckpointReading
from seatrial.models.sources import resolve_recipe
from seatrial.recipes.schema import Network

PATH = Path("x.pth")
WANTED = {
    name: torch.zeros(2) for name in ("conv.weight", "conv.bias", "body.weight", "body.bias", "fc.weight", "fc.bias")
}


def under(prefix: str, value: float = 1) -> dict[str, Tensor]:
    return {f"{prefix}{key}": torch.full((2,), value) for key in WANTED}


def fit(state: dict[str, Tensor], reading: CheckpointReading = AS_IT_IS) -> tuple[list[str], list[str], float]:
    """Names, words, and the value of the first weight."""
    found, words = fit_names(state, WANTED, PATH, reading)
    return list(found), words, float(next(iter(found.values()))[0])


@pytest.mark.parametrize("prefix", ["net.", "model.", "encoder.backbone.", "a.b.c."])
def test_one_prefix_is_stripped_whatever_its_name(prefix: str) -> None:
    assert fit(under(prefix)) == (list(WANTED), [prefix], 1)


def test_the_networks_own_names_stay() -> None:
    assert fit(under("")) == (list(WANTED), [], 1)


def test_what_lies_beside_the_network_is_left_out_and_said() -> None:
    state = {**under("model."), "criterion.weight": torch.ones(7), "val_acc.total": torch.ones(1)}
    assert fit(state) == (list(WANTED), ["model.", "left out 1 of criterion", "left out 1 of val_acc"], 1)


def test_averaged_weights_beside_raw_ones_go_first_unless_the_raw_ones_are_chosen() -> None:
    state = {**under("model.", 1), **under("ema_model.module.", 2)}
    assert fit(state) == (list(WANTED), ["ema_model.module.", "left out 6 of model"], 2)
    assert fit(state, CheckpointReading(weights="raw"))[2] == 1


def test_a_prefix_that_only_contains_the_letters_is_no_average() -> None:
    with pytest.raises(RefusedFile, match="several sets of weights"):
        fit({**under("remap_net.", 1), **under("net.", 2)})
    assert fit({**under("remap_net.", 1), **under("net.", 2)}, CheckpointReading(prefix="net"))[2] == 2


def test_two_networks_that_fit_are_not_guessed_between() -> None:
    state = {**under("student.", 1), **under("teacher.", 2)}
    with pytest.raises(RefusedFile, match=r"several sets of weights that fit: student\. and teacher\.; choose one"):
        fit(state)
    assert fit(state, CheckpointReading(prefix="teacher.")) == (list(WANTED), ["teacher.", "left out 6 of student"], 2)
    with pytest.raises(
        RefusedFile, match=r"no name begins with --strip-prefix pupil\.; they begin student\., teacher\."
    ):
        fit(state, CheckpointReading(prefix="pupil."))


@pytest.mark.parametrize("found", ["fc.1", "fc.0"])
def test_a_head_in_a_sequence_is_the_head(found: str) -> None:
    state = {key.replace("fc.", f"{found}."): value for key, value in under("net.").items()}
    assert fit(state) == (list(WANTED), ["net.", f"head {found} taken for fc"], 1)


def test_a_head_of_two_layers_is_not_the_networks() -> None:
    state = {**under(""), "fc.3.weight": torch.ones(2), "fc.1.weight": torch.ones(2)}
    del state["fc.weight"]
    assert "fc.1.weight" in fit(state)[0] and fit(state)[1] == []


def test_another_layer_is_no_head() -> None:
    state = {key.replace("fc.", "classifier."): value for key, value in under("").items()}
    assert "classifier.weight" in fit(state)[0] and fit(state)[1] == []


def test_timms_own_filter_reads_the_authors_names_and_another_image_size(tmp_path: Path) -> None:
    recipe = resolve_recipe("timm:vit_tiny_patch16_224", 64)
    trained = build_network(Network(name="vit_tiny_patch16_224", classes=1000)).state_dict()
    save_file(trained, tmp_path / "vit.safetensors")
    loaded = load_checkpoint(tmp_path / "vit.safetensors", recipe)
    assert loaded.state["pos_embed"].shape == (1, 4 * 4 + 1, 192)
    assert torch.equal(loaded.state["head.weight"], trained["head.weight"])
    assert "timm's checkpoint_filter_fn: 1 reshaped (pos_embed)" in str(loaded)


def test_the_filter_does_not_excuse_another_networks_weights(tmp_path: Path) -> None:
    save_file(build_network(Network(name="test_resnet", classes=10)).state_dict(), tmp_path / "other.safetensors")
    recipe = make_recipe().model_copy(update={"network": Network(name="vit_tiny_patch16_224", classes=10)})
    with pytest.raises(RefusedFile, match="does not fit 'vit_tiny_patch16_224'"):
        load_checkpoint(tmp_path / "other.safetensors", recipe)
