from pathlib import Path

import pytest

from onnx_graphs import write_linear
from seatrial.cli import run_cli
from seatrial.errors import UsageError
from seatrial.models.onnx_file import hash_onnx
from seatrial.models.sources import resolve_card, resolve_recipe

CARD = """\
name = "mine"
title = "Mine"
preprocess = [
  { step = "center_crop", size = [4, 6] },
  { step = "to_float" },
  { step = "normalise", mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] },
]
[network]
name = "fake"
classes = 3
[gates]
reference_drop_pp = 2.0
at_least_published = true
[reference]
top1 = 0.5
source = "elsewhere"
"""


@pytest.fixture
def card(tmp_path: Path) -> str:
    (tmp_path / "mine.toml").write_text(CARD)
    return str(tmp_path / "mine.toml")


def test_a_file_says_what_it_is_and_a_card_how_images_are_prepared(tmp_path: Path, card: str) -> None:
    path = write_linear(tmp_path / "Their Net.onnx", outside="w.bin", metadata={"names": "{0: 'a', 1: 'b', 2: 'c'}"})
    found = resolve_card(str(path), like=card)
    recipe = found.recipe
    assert (recipe.name, recipe.network.builder, recipe.network.name) == ("their_net", "onnx", str(path))
    assert (recipe.network.classes, recipe.network.sha256) == (3, hash_onnx(path))
    assert (recipe.graph.input, recipe.graph.output, recipe.graph.opset) == ("pixels", "scores", 13)
    assert recipe.labels.names == ("a", "b", "c") and recipe.input_size == (4, 6)
    assert recipe.gates.reference_drop_pp == 2.0 and recipe.reference is None and not recipe.gates.at_least_published
    assert recipe.normalisation[0] == (0.5, 0.5, 0.5)
    assert "# metadata of the file" in found.text and "# axis 1 of the output" in found.text


def test_without_a_reference_the_error_lists_what_a_file_cannot_say(tmp_path: Path) -> None:
    path = write_linear(tmp_path / "net.onnx", shape=("batch", 3, 4, 6))
    with pytest.raises(
        UsageError, match="has 3 classes, images of 4 × 6; it cannot say how images are resized"
    ) as caught:
        resolve_recipe(str(path))
    assert "mean and standard deviation" in str(caught.value) and "names of its classes" in str(caught.value)
    assert "height and width" not in str(caught.value) and "give --like REF" in str(caught.value)
    inside = write_linear(path, first=[("Div", [255.0])], metadata={"labels": "a,b,c"})
    with pytest.raises(UsageError, match=r"normalises by itself: mean 0, 0, 0, std 255, 255, 255, of 0..255") as caught:
        resolve_recipe(str(inside))
    assert "standard deviation" not in str(caught.value) and "names of its classes" not in str(caught.value)
    assert "height and width" in str(caught.value)


@pytest.mark.parametrize(
    ("first", "mean", "std", "said"),
    [
        (
            [("Sub", [0.5, 0.25, 0.125]), ("Div", [0.5])],
            (0.0,) * 3,
            (1.0,) * 3,
            "mean 0.5, 0.25, 0.125, std 0.5, 0.5, 0.5, of 0..1",
        ),
        ([("Mul", [1 / 255])], (0.0,) * 3, (1 / 255,) * 3, "mean 0, 0, 0, std 255, 255, 255, of 0..255"),
    ],
)
def test_what_a_graph_normalises_is_not_done_twice(
    first: list[tuple[str, list[float]]],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    said: str,
    tmp_path: Path,
    card: str,
) -> None:
    found = resolve_card(str(write_linear(tmp_path / "net.onnx", first=first)), like=card)
    assert found.recipe.normalisation == (pytest.approx(mean), pytest.approx(std))
    assert f"the graph normalises by itself: {said}" in found.text


def test_a_fixed_size_must_be_that_of_the_preprocessing(tmp_path: Path, card: str) -> None:
    path = write_linear(tmp_path / "net.onnx", shape=(1, 3, 8, 8))
    with pytest.raises(UsageError, match=r"takes images of 8 × 8, and .*toml prepares them at 4 × 6; give another"):
        resolve_recipe(str(path), like=card)
    with pytest.raises(UsageError, match=r"prepares them at 224 × 224; add --image-size 8, or give another --like"):
        resolve_recipe(str(path), like="torchvision:resnet18")


def test_a_card_names_the_output_and_the_classes(tmp_path: Path, card: str) -> None:
    path = write_linear(tmp_path / "net.onnx", outputs=("means", "scores"), metadata={"names": '["x", "y", "z"]'})
    mine = Path(card)
    mine.write_text(f'{CARD}[graph]\noutput = "scores"\n[labels]\nnames = ["a", "b", "c"]\n')
    recipe = resolve_recipe(str(path), like=card)
    assert recipe.graph.output == "scores" and recipe.labels.names == ("a", "b", "c")


def test_a_card_with_a_file_as_its_base_has_the_rest(tmp_path: Path) -> None:
    write_linear(tmp_path / "net.onnx")
    steps = 'preprocess = [{ step = "center_crop", size = [4, 6] }, { step = "to_float" }]'
    (tmp_path / "card.toml").write_text(f'base = "net.onnx"\nname = "mine"\n{steps}\n')
    recipe = resolve_recipe(str(tmp_path / "card.toml"))
    assert (recipe.name, recipe.network.builder, recipe.network.classes) == ("mine", "onnx", 3)
    (tmp_path / "card.toml").write_text('base = "net.onnx"\nname = "mine"\n')
    with pytest.raises(UsageError, match=r"it cannot say how images .*; add its preprocess steps to the card"):
        resolve_recipe(str(tmp_path / "card.toml"))


def test_there_is_no_network_to_build(tmp_path: Path, card: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_linear(tmp_path / "net.onnx"))
    assert run_cli(["export", path, "--output", str(tmp_path / "out.onnx")]) == 2
    assert run_cli(["train", path, "--synthetic", "--output", str(tmp_path / "t")]) == 2
    (tmp_path / "card.toml").write_text(resolve_card(path, like=card).text)
    assert run_cli(["export", str(tmp_path / "card.toml"), "--output", str(tmp_path / "out.onnx")]) == 2
    assert capsys.readouterr().err.count("no network to build") == 3


def test_a_fault_in_the_card_that_prepares_the_images_names_that_card(tmp_path: Path) -> None:
    card = tmp_path / "like.toml"
    card.write_text(
        'name = "a"\ntitle = "A"\npreprocess = [{ step = "center_crop", size = [4, 6], filter = "bilinear" }]\n'
        '[network]\nname = "a"\nclasses = 3\n'
    )
    file = write_linear(tmp_path / "net.onnx")
    with pytest.raises(
        UsageError, match=r"net\.onnx with --like .*like\.toml: unknown key 'preprocess\.0\.center_crop"
    ):
        resolve_recipe(str(file), like=str(card))
