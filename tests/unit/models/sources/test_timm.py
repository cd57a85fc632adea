"""timm's description of its weights, field by field."""

import json
from pathlib import Path

import pytest
from timm.models import get_pretrained_cfg, list_pretrained

from seatrial.models.build import count_parameters, sketch_network
from seatrial.models.sources import library, resolve_recipe, timm
from seatrial.recipes.steps import dump_steps


def test_the_test_time_size_and_crop_are_taken_as_by_validate() -> None:
    recipe = resolve_recipe("timm:resnet50.a1_in1k")
    config = get_pretrained_cfg("resnet50.a1_in1k")
    assert config.test_input_size == (3, 288, 288) and config.test_crop_pct == 1.0
    assert dump_steps(recipe.preprocess)[:2] == [
        {"step": "resize", "short_side": 288, "interpolation": "bicubic"},
        {"step": "center_crop", "size": [288, 288], "offset": "half_even"},
    ]
    assert recipe.reference is not None and (recipe.reference.top1, recipe.reference.size) == (0.8124, 288)


def test_without_a_tag_the_weights_are_those_that_timm_prefers() -> None:
    for name in ("resnet50", "efficientnet_b0", "vit_base_patch16_224"):
        preferred = get_pretrained_cfg(name)
        assert resolve_recipe(f"timm:{name}").network.name == f"{name}.{preferred.tag}"


def test_a_crop_beyond_the_image_is_padded() -> None:
    _, crop, *_ = resolve_recipe("timm:volo_d5_512").preprocess
    assert dump_steps([crop]) == [{"step": "center_crop", "size": [512, 512], "offset": "half_even", "pad": [0, 0, 0]}]


def test_squash_and_border_are_steps_of_their_own() -> None:
    configs = {name: get_pretrained_cfg(name) for name in list_pretrained()}
    squash = next(name for name, c in configs.items() if c.crop_mode == "squash" and c.num_classes and c.crop_pct == 1)
    border = next((name for name, c in configs.items() if c.crop_mode == "border" and c.num_classes), None)
    size = list((configs[squash].test_input_size or configs[squash].input_size)[1:])
    assert dump_steps(resolve_recipe(f"timm:{squash}").preprocess)[0]["size"] == size
    if border is not None:
        resize, crop, *_ = dump_steps(resolve_recipe(f"timm:{border}").preprocess)
        assert "fit" in resize and crop["pad"] == [round(255 * value) for value in configs[border].mean]


def test_weights_are_named_with_the_digits_of_their_hash_where_there_are_any() -> None:
    weights = resolve_recipe("timm:resnet50.a1_in1k").weights
    assert weights is not None
    assert (weights.file, weights.sha256_prefix) == ("resnet50_a1_0-14fe96d1.pth", "14fe96d1")
    assert weights.hub == "timm/resnet50.a1_in1k/model.safetensors" and weights.licence == "apache-2.0"
    hub_only = resolve_recipe("timm:volo_d5_512").weights
    assert hub_only is not None and hub_only.file == "volo_d5_512.sail_in1k.safetensors"
    assert hub_only.url == "https://huggingface.co/timm/volo_d5_512.sail_in1k/resolve/main/model.safetensors"


def test_a_network_is_built_for_the_size_of_its_tag() -> None:
    recipe = resolve_recipe("timm:vit_tiny_patch16_384")
    assert recipe.input_size == (384, 384)
    assert sketch_network(recipe.network).state_dict()["pos_embed"].shape == (1, 24 * 24 + 1, 192)
    smaller = resolve_recipe("timm:vit_tiny_patch16_384", 96)
    assert sketch_network(smaller.network).state_dict()["pos_embed"].shape == (1, 6 * 6 + 1, 192)


def test_the_published_parameters_are_those_of_the_network() -> None:
    row = timm.load_published()["resnet18.a1_in1k"][288]
    built = sketch_network(resolve_recipe("timm:resnet18.a1_in1k").network)
    assert round(count_parameters(built) / 1e6, 2) == row.parameters


def test_what_timm_said_is_kept_and_a_damaged_copy_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def describe() -> library.Descriptions:
        calls.append(1)
        return {"a": {"size": (1, 2)}}

    assert library.load_descriptions("timm", describe) == {"a": {"size": [1, 2]}}
    assert library.load_descriptions("timm", describe) == {"a": {"size": [1, 2]}} and len(calls) == 1
    (stored,) = (tmp_path / "seatrial").iterdir()
    stored.write_text(json.dumps({"a": 1})[:-2])
    assert library.load_descriptions("timm", describe) == {"a": {"size": [1, 2]}} and len(calls) == 2
    monkeypatch.setenv("XDG_CACHE_HOME", str(stored))  # no folder can be made in a file
    assert library.load_descriptions("timm", describe) == {"a": {"size": [1, 2]}} and len(calls) == 3
