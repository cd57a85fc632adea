"""A card's preprocessing beside its library's own, on the same images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seatrial.evaluation.preprocessing_parity import draw_files, prove_preprocessing, rows_first
from seatrial.models.sources import resolve_recipe
from seatrial.recipes import load_recipe
from seatrial.recipes.steps import CenterCrop, Normalise, Resize


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six drawn images as files."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / name for name, _ in draw_files(6)]
    for path, (_, data) in zip(paths, draw_files(6), strict=True):
        path.write_bytes(data)
    return paths


@pytest.mark.parametrize(
    "reference",
    ["timm:resnet18.a1_in1k", "timm:test_vit.r160_in1k", "torchvision:resnet18", "torchvision:efficientnet_v2_s"],
)
def test_a_resolved_card_does_what_its_library_does(reference: str, pictures: list[Path]) -> None:
    proof = prove_preprocessing(resolve_recipe(reference), pictures)
    assert proof is not None and proof.holds and proof.difference.share == 0
    assert f"equals that of {reference.partition('/')[0]}" in proof.describe() and "on 6 images" in proof.describe()


def test_drawn_images_have_all_modes() -> None:
    assert {name.split("-")[2] for name, _ in draw_files()} == {"RGB", "L", "P", "CMYK", "RGBA", "LA", "1"}


@pytest.mark.parametrize(
    "change",
    [
        {"interpolation": "bilinear"},
        {"short_side": 289},
    ],
)
def test_another_resize_is_found(change: dict[str, object], pictures: list[Path]) -> None:
    recipe = resolve_recipe("timm:resnet18.a1_in1k")
    resize, *rest = recipe.preprocess
    other = recipe.model_copy(update={"preprocess": (resize.model_copy(update=change), *rest)})
    proof = prove_preprocessing(other, pictures)
    assert proof is not None and not proof.holds
    assert "is not that of timm:resnet18.a1_in1k" in proof.describe()


def test_another_offset_and_mean_are_found(pictures: list[Path]) -> None:
    recipe = resolve_recipe("torchvision:resnet18/IMAGENET1K_V1")
    resize, _, scale, _ = recipe.preprocess
    truncated = CenterCrop(step="center_crop", size=(224, 224), offset="truncate")
    proof = prove_preprocessing(recipe.model_copy(update={"preprocess": (resize, truncated, *recipe.preprocess[2:])}))
    assert proof is not None and proof.drawn and not proof.holds
    shifted = Normalise(step="normalise", mean=(0.48, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    moved = recipe.model_copy(update={"preprocess": (*recipe.preprocess[:3], shifted)})
    found = prove_preprocessing(moved, pictures)
    assert found is not None and not found.holds
    assert found.difference.largest_levels == pytest.approx(255 * 0.005, rel=1e-3)
    assert scale.step == "to_float"


def test_another_size_of_image_is_no_parity(pictures: list[Path]) -> None:
    recipe = resolve_recipe("torchvision:resnet18/IMAGENET1K_V1")
    square = Resize(step="resize", size=(160, 160))
    proof = prove_preprocessing(recipe.model_copy(update={"preprocess": (square, *recipe.preprocess[2:])}), pictures)
    assert proof is not None and not proof.holds


def test_a_card_of_ones_own_has_nothing_beside_it() -> None:
    assert prove_preprocessing(load_recipe("resnet50")) is None


def test_rows_are_resized_first() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 30, 3), dtype=np.uint8))
    kind = Image.Resampling.BICUBIC
    in_two = image.resize((50, 200), kind).resize((50, 20), kind)
    with rows_first():
        patched = image.resize((50, 20), kind)
    assert np.array_equal(np.asarray(patched), np.asarray(in_two))
    assert Image.Image.resize is not patched
